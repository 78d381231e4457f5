"""Scenarios: facts, line by line, each with the decision that the core takes.

A scenario is a text file in this directory. A line with ``>`` is a fact. The lines below it are the
records (``+``) and the orders (``!``) of the decision. ``SCENARIOS_REWRITE=1 pytest
tests/scenarios`` writes the present decisions into the files: read the diff before a commit.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
SCENARIOS = sorted(HERE.glob("*.txt"))


class Player:
    """Plays one scenario. A container is called by its task's id."""

    def __init__(self) -> None:
        self.shim = Shim(registered=False)
        self.refs: dict[str, Ref] = {}

    def play(self, line: str) -> list[str]:
        verb, *words = shlex.split(line)
        plain = [word for word in words if "=" not in word]
        named = dict(word.split("=", 1) for word in words if "=" in word)
        method: Callable[..., Decision | list[Order]] = getattr(self, f"do_{verb}")
        decision = method(*plain, **named)
        for task in self.shim.core.tasks.table.values():
            self.refs.setdefault(task.key.task_id, task.ref)
        if isinstance(decision, list):
            return [self._order(order) for order in decision]
        return [*map(_record, decision.records), *map(self._order, decision.orders)]

    # --- facts ----------------------------------------------------------------------------------

    def do_recover(self, *found: str) -> Decision:
        return self.shim.recover(*map(self._container, found))

    def do_restart(self, *found: str) -> Decision:
        return self.shim.restart(*map(self._container, found))

    def _container(self, text: str) -> Any:
        name, _, phase = text.partition(":")
        seen, _, code = phase.partition("/")
        return container(self.refs[name], Phase(seen), int(code) if code else None)

    def do_detect(self, ip: str = MASTER.ip) -> Decision:
        return self.shim.detect(None if ip == "none" else Pid("master", ip, 5050))

    def do_wait(self, seconds: str) -> list[Order]:
        return self.shim.wait(float(seconds))

    def do_welcome(self) -> Decision:
        return self.shim.answer_registration()

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
        return self.shim.handle(facts.LeaveRequested())

    def do_creating(self, task: str) -> Decision:
        return self.shim.handle(facts.LaunchAdvanced(self.refs[task], facts.Stage.CREATING))

    def do_started(self, task: str) -> Decision:
        ref = self.refs[task]
        return self.shim.handle(facts.ContainerStarted(ref, container(ref, Phase.RUNNING)))

    def do_failed(self, task: str, why: str, text: str) -> Decision:
        failed = facts.LaunchFailed(self.refs[task], facts.Failure(why), text)
        return self.shim.handle(failed)

    def do_cancelled(self, task: str) -> Decision:
        return self.shim.handle(facts.LaunchCancelled(self.refs[task]))

    def do_exited(self, task: str, code: str) -> Decision:
        return self.shim.handle(facts.ContainerExited(self.refs[task], int(code)))

    def do_vanished(self, task: str) -> Decision:
        return self.shim.handle(facts.ContainerVanished(self.refs[task]))

    def do_removed(self, task: str) -> Decision:
        return self.shim.handle(facts.ContainerRemoved(self.refs[task]))

    def do_unhealthy(self, task: str, kill: str = "false") -> Decision:
        fact = facts.HealthReported(self.refs[task], healthy=False, kill=kill == "true")
        return self.shim.handle(fact)

    # --- decisions --------------------------------------------------------------------------

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
            case orders.RemoveVolume(name):
                text = f"remove volume {name}"
            case orders.Stop(ref, grace):
                text = f"stop {ref.task_key.task_id} grace={grace:g}"
            case orders.Publish(ref, _, addresses, healthy):
                text = f"publish {ref.task_key.task_id} {','.join(addresses)} healthy={healthy}"
            case orders.Authenticate(master, attempt, _):
                text = f"authenticate with {master.ip}, attempt {attempt}"
            case orders.SendExecutorEvent(stream, event):
                text = f"send event {event.type} on stream {stream}"
            case orders.EndStream(stream):
                text = f"end stream {stream}"
            case _:
                text = f"{_words(order)} {order.ref.task_key.task_id}"
        return f"! {text}"


def _record(record: Record) -> str:
    match record:
        case records.SaveFramework(framework_id, _):
            text = f"save framework {framework_id}"
        case records.DropFramework(framework_id):
            text = f"drop framework {framework_id}"
        case records.AddPendingRemoval(ref):
            text = f"add pending removal {ref.task_key.task_id}"
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
    cause = journal_pb2.Cause.Name(kept.cause).lower().replace("_", " ")
    return kept.phase if kept.cause == journal_pb2.NONE else f"{kept.phase} ({cause})"


def _message(message: object) -> str:
    match message:
        case m.StatusUpdateMessage():
            status = message.update.status
            text = TaskState.Name(status.state)
            if status.HasField("reason"):
                text += f"/{TaskStatus.Reason.Name(status.reason).removeprefix('REASON_')}"
            if status.message:
                text += f" {status.message!r}"
            return f"update {status.uuid[-1]} of {status.task_id.value}: {text}"
        case m.ReregisterSlaveMessage():
            tasks = [f"{t.task_id.value}={TaskState.Name(t.state)}" for t in message.tasks]
            return f"ReregisterSlave {message.slave.id.value} {' '.join(tasks)}".strip()
        case _:
            return type(message).__name__.removesuffix("Message")


def played(scenario: str) -> str:
    """The scenario with the core's present decisions."""
    player, lines = Player(), []
    for line in scenario.splitlines():
        if line.startswith(("+", "!")):
            continue
        lines.append(line.rstrip())
        if line.startswith(">"):
            lines += player.play(line[1:])
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_core_decides_as_the_scenario_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if os.environ.get("SCENARIOS_REWRITE"):
        path.write_text(played(text), encoding="utf-8")
    assert played(text) == path.read_text(encoding="utf-8")


def test_there_are_scenarios_and_each_has_a_title_and_orders() -> None:
    assert len(SCENARIOS) >= 8
    for path in SCENARIOS:
        text = path.read_text(encoding="utf-8")
        assert "\n! " in text, path
        assert text.startswith("# "), path


def test_a_changed_order_is_noticed() -> None:
    text = SCENARIOS[0].read_text(encoding="utf-8")
    assert played(text.replace("! launch", "! lunch")) == played(text)
    assert "! launch" in text
