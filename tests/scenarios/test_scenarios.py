"""Stories told to the core, line by line, with all it says to them.

A story is a text file here. ``>`` lines are what happens; the lines below each are what the core
wants durable first (``+``) and done then (``!``). ``SCENARIOS_REWRITE=1 pytest tests/scenarios``
writes down what the core says now: read the difference before you commit it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.core.context import Decision
from shim.model import facts, orders, records
from shim.model.container import Phase, Ref
from shim.model.ids import Pid
from shim.model.orders import Order
from shim.model.records import Record
from shim.protos import journal_pb2
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from tests.core.harness import MASTER, Shim, container, framework_info, task_info

HERE = Path(__file__).parent
STORIES = sorted(HERE.glob("*.txt"))


class Teller:
    """Carries out the lines of one story. Containers are called by their task's name."""

    def __init__(self) -> None:
        self.shim = Shim(registered=False)
        self.refs: dict[str, Ref] = {}

    def tell(self, line: str) -> list[str]:
        verb, *words = shlex.split(line)
        plain = [word for word in words if "=" not in word]
        named = dict(word.split("=", 1) for word in words if "=" in word)
        method: Callable[..., Decision | list[Order]] = getattr(self, f"do_{verb}")
        said = method(*plain, **named)
        for task in self.shim.core.tasks.table.values():
            self.refs.setdefault(task.key.task_id, task.ref)
        if isinstance(said, list):
            return [self._order(order) for order in said]
        return [*map(_record, said.records), *map(self._order, said.orders)]

    # --- what happens ---------------------------------------------------------------------------

    def do_recover(self, *found: str) -> Decision:
        return self.shim.recover(*map(self._container, found))

    def do_restart(self, *found: str) -> Decision:
        return self.shim.restart(*map(self._container, found))

    def _container(self, text: str) -> container.__class__:
        name, _, phase = text.partition(":")
        seen, _, code = phase.partition("/")
        return container(self.refs[name], Phase(seen), int(code) if code else None)

    def do_detect(self, ip: str = MASTER.ip) -> Decision:
        return self.shim.detect(None if ip == "nobody" else Pid("master", ip, 5050))

    def do_wait(self, seconds: str) -> list[Order]:
        return self.shim.wait(float(seconds))

    def do_welcome(self) -> Decision:
        return self.shim.welcome()

    def do_ping(self, connected: str = "true") -> Decision:
        return self.shim.ping(connected=connected == "true")

    def do_framework(self, name: str, *traits: str, checkpoint: str = "true") -> list[Order]:
        self.shim.framework(name, *traits, checkpoint=checkpoint == "true")
        return []

    def do_run(self, task: str, framework: str = "F", limit: str = "") -> Decision:
        info = task_info(task)
        if limit:
            info.max_completion_time.nanoseconds = int(float(limit) * 1e9)
        return self.shim.run(info, framework)

    def do_kill(self, task: str, framework: str = "F", grace: str = "") -> Decision:
        return self.shim.kill(task, framework, float(grace) if grace else None)

    def do_acknowledge(self, task: str, framework: str = "F") -> Decision:
        return self.shim.acknowledge(task, framework)

    def do_remove_framework(self, framework: str) -> Decision:
        return self.shim.shutdown_framework(framework)

    def do_drain(self, grace: str = "", mark_gone: str = "false") -> Decision:
        return self.shim.drain(mark_gone=mark_gone == "true", grace=float(grace) if grace else None)

    def do_shutdown(self, text: str) -> Decision:
        return self.shim.receive(m.ShutdownMessage(message=text))

    def do_reconcile(self, task: str, framework: str = "F") -> Decision:
        answer = m.SlaveReregisteredMessage()
        answer.slave_id.value = self.shim.core.ctx.agent_id or ""
        part = answer.reconciliations.add()
        part.framework_id.value = framework
        info = self.shim.frameworks.get(framework) or framework_info(framework)
        part.framework.CopyFrom(info)
        part.statuses.add(state=TaskState.TASK_STAGING).task_id.value = task
        return self.shim.receive(answer)

    def do_leave(self) -> Decision:
        return self.shim.tell(facts.LeaveRequested())

    def do_creating(self, task: str) -> Decision:
        return self.shim.tell(facts.LaunchAdvanced(self.refs[task], facts.Stage.CREATING))

    def do_started(self, task: str) -> Decision:
        ref = self.refs[task]
        return self.shim.tell(facts.ContainerStarted(ref, container(ref, Phase.RUNNING)))

    def do_failed(self, task: str, why: str, text: str) -> Decision:
        failed = facts.LaunchFailed(self.refs[task], facts.Failure(why), text)
        return self.shim.tell(failed)

    def do_cancelled(self, task: str) -> Decision:
        return self.shim.tell(facts.LaunchCancelled(self.refs[task]))

    def do_exited(self, task: str, code: str) -> Decision:
        return self.shim.tell(facts.ContainerExited(self.refs[task], int(code)))

    def do_vanished(self, task: str) -> Decision:
        return self.shim.tell(facts.ContainerVanished(self.refs[task]))

    def do_removed(self, task: str) -> Decision:
        return self.shim.tell(facts.ContainerRemoved(self.refs[task]))

    def do_unhealthy(self, task: str, kill: str = "false") -> Decision:
        fact = facts.HealthReported(self.refs[task], healthy=False, kill=kill == "true")
        return self.shim.tell(fact)

    # --- what is said to it -----------------------------------------------------------------

    def _order(self, order: Order) -> str:
        match order:
            case orders.Send(to, message):
                text = f"send {_message(message)} to {to.id}@{to.ip}"
            case orders.Pong(to):
                text = f"pong {to.id}"
            case orders.Notice(level, words):
                text = f"{level.value}: {words}"
            case orders.Exit(code, reason):
                text = f"exit {code}: {reason}"
            case orders.RemoveOrphan(name):
                text = f"remove orphan {name}"
            case orders.Stop(ref, grace):
                text = f"stop {ref.key.task_id} grace={grace:g}"
            case orders.Publish(ref, _, addresses, healthy):
                text = f"publish {ref.key.task_id} {','.join(addresses)} healthy={healthy}"
            case orders.Authenticate(master, attempt, _):
                text = f"authenticate with {master.ip}, attempt {attempt}"
            case _:
                text = f"{_words(order)} {order.ref.key.task_id}"
        return f"! {text}"


def _record(record: Record) -> str:
    match record:
        case records.SaveFramework(framework_id, _):
            text = f"save framework {framework_id}"
        case records.DropFramework(framework_id):
            text = f"drop framework {framework_id}"
        case records.AddPendingRemoval(ref):
            text = f"add pending removal {ref.key.task_id}"
        case records.AddTask(key, _, state):
            text = f"add task {key.task_id} {_state(state)}"
        case records.SaveTask(key, state):
            text = f"save task {key.task_id} {_state(state)}"
        case records.DropTask(key):
            text = f"drop task {key.task_id}"
        case records.AddUpdate(key, _, value):
            text = f"add {_message(m.StatusUpdateMessage.FromString(value))}"
        case records.DropUpdate(key, uuid):
            text = f"drop update {uuid[-1]} of {key.task_id}"
        case records.DropUpdates(key):
            text = f"drop all updates of {key.task_id}"
        case _:
            text = _words(record)
    return f"+ {text}"


def _words(value: object) -> str:
    """``SaveAgent`` -> ``save agent``."""
    return "".join(c if c.islower() else f" {c.lower()}" for c in type(value).__name__).strip()


def _state(value: bytes) -> str:
    kept = journal_pb2.TaskState.FromString(value)
    cause = journal_pb2.Cause.Name(kept.cause).lower()
    return kept.phase if kept.cause == journal_pb2.NONE else f"{kept.phase} ({cause})"


def _message(message: object) -> str:
    match message:
        case m.StatusUpdateMessage():
            status = message.update.status
            said = TaskState.Name(status.state)
            if status.HasField("reason"):
                said += f"/{TaskStatus.Reason.Name(status.reason).removeprefix('REASON_')}"
            if status.message:
                said += f" {status.message!r}"
            return f"update {status.uuid[-1]} of {status.task_id.value}: {said}"
        case m.ReregisterSlaveMessage():
            tasks = [f"{t.task_id.value}={TaskState.Name(t.state)}" for t in message.tasks]
            return f"ReregisterSlave {message.slave.id.value} {' '.join(tasks)}".strip()
        case _:
            return type(message).__name__.removesuffix("Message")


def retold(story: str) -> str:
    """The story with what the core says now."""
    teller, lines = Teller(), []
    for line in story.splitlines():
        if line.startswith(("+", "!")):
            continue
        lines.append(line.rstrip())
        if line.startswith(">"):
            lines += teller.tell(line[1:])
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_the_core_says_what_the_story_says(story: Path) -> None:
    told = story.read_text(encoding="utf-8")
    if os.environ.get("SCENARIOS_REWRITE"):
        story.write_text(retold(told), encoding="utf-8")
    assert retold(told) == story.read_text(encoding="utf-8")


def test_there_are_stories_and_they_are_not_empty() -> None:
    assert len(STORIES) >= 8
    for story in STORIES:
        text = story.read_text(encoding="utf-8")
        assert "\n! " in text, story
        assert text.startswith("# "), story


def test_a_changed_word_is_noticed() -> None:
    told = STORIES[0].read_text(encoding="utf-8")
    assert retold(told.replace("! launch", "! lunch")) == retold(told)
    assert "! launch" in told
