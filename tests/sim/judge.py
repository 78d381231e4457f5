"""The invariants, looked at after every step that could break one.

1. Nothing is sent that is not durable; what is sent again is the same byte for byte, but for a
   ``latest_state`` that tells the task's end before its turn comes.
2. An update whose acknowledgement is durable is not sent again; only the oldest one is sent.
3. A task ends once, and nothing is said of it afterwards; it is not said to have ended while
   its container runs.
4. No two containers of a task ever run (also not one after the other): see ``engine.py``.
5. Nothing is sent that a master would abort on, or drop without a word.
6. Every accepted task's end is heard, if there is anybody left to hear it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import Message

from shim.errors import UnsafeMessage
from shim.model import orders
from shim.model.ids import FrameworkId, TaskId, TaskKey
from shim.model.states import TERMINAL
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from shim.protos.messages_pb2 import ReregisterSlaveMessage, StatusUpdateMessage
from tests.sim.clock import Violation

try:
    from shim.wire.safety import check
except ImportError:  # the wire's room is not there yet

    def check(message: Message) -> None:
        pass


if TYPE_CHECKING:
    from tests.sim.world import World

_RANK = {
    TaskState.TASK_STARTING: 1,
    TaskState.TASK_RUNNING: 2,
    TaskState.TASK_KILLING: 3,
}


class Judge:
    def __init__(self, world: World) -> None:
        self._world = world
        self.heard: dict[TaskKey, dict[bytes, TaskState.ValueType]] = {}
        self.excused: dict[TaskKey, str] = {}
        """Tasks whose end nobody has to hear, and why: a master may also tell another end of them
        (a framework without checkpointing, a work_dir that was lost)."""

    # --- what the shim does -----------------------------------------------------------------

    def launching(self, order: orders.Launch) -> None:
        if order.ref.key not in self._world.disk.tasks:
            raise Violation(f"{order.ref} is launched, but is not durable")

    def sent(self, message: Message) -> None:
        try:
            check(message)
        except UnsafeMessage as error:
            raise Violation(f"a master would not survive or take this: {error}") from error
        if isinstance(message, StatusUpdateMessage):
            self._update_sent(message)
        elif isinstance(message, ReregisterSlaveMessage):
            self._reregistration_sent(message)

    def _update_sent(self, message: StatusUpdateMessage) -> None:
        disk, uuid = self._world.disk, message.update.uuid
        key = _key(message)
        known = disk.written.get(uuid)
        if known is None:
            raise Violation(f"an update of {key} is sent that is not durable")
        if known != _without_the_end(message).SerializeToString():
            raise Violation(f"an update of {key} is sent with other bytes than before")
        acknowledged = disk.acknowledged.get(uuid)
        if acknowledged is not None:
            if acknowledged != disk.commits:
                raise Violation(f"an update of {key} is sent again after its acknowledgement")
        elif next(iter(disk.updates.get(key, {})), uuid) != uuid:
            raise Violation(f"an update of {key} is sent before the one ahead of it is done")
        state = message.update.status.state
        if state in TERMINAL and self._world.engine.running(key):
            name = TaskState.Name(state)
            raise Violation(f"{key} is said to be {name} while its container runs")

    def _reregistration_sent(self, message: ReregisterSlaveMessage) -> None:
        disk = self._world.disk
        told = {
            TaskKey(FrameworkId(t.framework_id.value), TaskId(t.task_id.value)): t.state
            for t in message.tasks
        }
        for key, (_, state) in disk.tasks.items():
            if key in disk.touched:
                continue
            kept = journal_pb2.TaskState.FromString(state)
            if kept.cause == journal_pb2.MUTED:
                if key in told:
                    raise Violation(f"{key} is reported to the master, which gave it up")
                continue
            if key not in told:
                raise Violation(f"{key} is not reported at re-registration")
            last = kept.statuses[-1].state if kept.statuses else TaskState.TASK_STAGING
            if told[key] != last:
                raise Violation(f"{key} is reported in a state that is not durable")
        for key in told.keys() - disk.tasks.keys() - disk.touched:
            raise Violation(f"{key} is reported at re-registration, but is not durable")

    # --- what a framework hears ----------------------------------------------------------------

    def hears(self, key: TaskKey, uuid: bytes, status: TaskStatus) -> None:
        heard = self.heard.setdefault(key, {})
        if uuid in heard:
            return
        state = status.state
        said = list(heard.values())
        if said and said[-1] in TERMINAL and key not in self.excused:
            ended, now = TaskState.Name(said[-1]), TaskState.Name(state)
            raise Violation(f"{key} was {ended} and is {now} now")
        if said and state not in TERMINAL and _RANK[state] < _RANK[said[-1]]:
            raise Violation(f"{key} goes back from {said[-1]} to {state}")
        if state == TaskState.TASK_KILLING and state in said:
            raise Violation(f"{key} is told to be KILLING twice")
        heard[uuid] = state

    def excuse(self, key: TaskKey, why: str) -> None:
        self.excused.setdefault(key, why)

    # --- in the end ---------------------------------------------------------------------------

    def verdict(self) -> None:
        """Everything is settled: nobody was forgotten."""
        for key in self._world.disk.accepted:
            if key in self.excused:
                continue
            said = list(self.heard.get(key, {}).values())
            if not said or said[-1] not in TERMINAL:
                states = [TaskState.Name(state) for state in said]
                raise Violation(f"{key} was accepted, but its framework heard only {states}")


def _without_the_end(message: StatusUpdateMessage) -> StatusUpdateMessage:
    """The update as it was before the task had ended."""
    update = message.update
    if update.latest_state == update.status.state or update.latest_state not in TERMINAL:
        return message
    earlier = StatusUpdateMessage()
    earlier.CopyFrom(message)
    earlier.update.latest_state = update.status.state
    return earlier


def _key(message: StatusUpdateMessage) -> TaskKey:
    update = message.update
    return TaskKey(FrameworkId(update.framework_id.value), TaskId(update.status.task_id.value))
