"""The invariants, checked after every step that could break one.

1. Only durable updates are sent. A repeated update has the same bytes, except for a
   ``latest_state`` that announces the task's end early.
2. An update whose acknowledgement is durable is not sent again, unless it is recorded again. Of a
   task, only the oldest update is sent.
3. A task ends once, with no update after its terminal one, and not while its container, or the
   process of its custom executor, runs it.
4. At most one container of a task ever runs: see ``engine.py``.
5. No create is sent before it is durable that the container may exist.
6. No message is sent that would abort a master, or that a master would drop.
7. Every accepted task's terminal update reaches its framework, if the framework can still get it.
8. The tasks of a group become TASK_RUNNING together, and when one ends in another state than
   TASK_FINISHED, all others are being ended, in the same commit. The agent alone ends their
   containers.
9. An executor's container is removed only when no task of its executor lives.
10. An executor whose resources the master has booked is reported, or its end is.

What tasks find in volumes, and which volumes are removed: see ``volumes.py``. What custom executors
are sent, and whose messages count: see ``executor_invariants.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from shim.core.lifecycle import TaskPhase
from shim.errors import UnsafeMessage
from shim.model import orders
from shim.model.container import Ref
from shim.model.ids import ExecutorKey, FrameworkId, TaskId, TaskKey
from shim.model.states import TERMINAL
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from shim.protos.messages_pb2 import (
    ReregisterSlaveMessage,
    StatusUpdateMessage,
    UpdateOperationStatusMessage,
)
from shim.wire.safety import check
from tests.sim.clock import Violation

if TYPE_CHECKING:
    from tests.sim.world import World

_ENDED = TaskPhase.ENDED.value
_LAUNCHING = {TaskPhase.STAGING.value, TaskPhase.STARTING.value, TaskPhase.LAUNCHED.value}

_RANK = {
    TaskState.TASK_STARTING: 1,
    TaskState.TASK_RUNNING: 2,
    TaskState.TASK_KILLING: 3,
}


class Invariants:
    def __init__(self, world: World) -> None:
        self._world = world
        self.delivered: dict[TaskKey, dict[bytes, TaskState.ValueType]] = {}
        self.excused: dict[TaskKey, str] = {}
        """Tasks whose terminal update need not arrive, and why.

        A master may report another end of such a task (a framework without checkpointing, a lost
        work_dir).
        """

    # --- the shim ---------------------------------------------------------------------------

    def check_order(self, order: orders.Order) -> None:
        disk = self._world.disk
        match order:
            case orders.Launch() if (
                order.ref.key not in disk.tasks
                and order.ref.container_id not in disk.pending_removals
            ):
                raise Violation(f"{order.ref} is launched, but is not durable")
            case orders.LaunchExecutor() if order.ref.container_id not in (
                disk.executors.keys() | disk.pending_removals.keys()
            ):
                raise Violation(f"{order.ref} is launched, but is not durable")
            case orders.Remove(Ref(ExecutorKey())):
                for task, state in _states(disk.tasks.items()):
                    # A later executor of the same id has another container.
                    lives = state.executor_id and state.phase != _ENDED
                    if lives and self._parent_of(task, state) == order.ref.container_id:
                        raise Violation(f"{order.ref} is removed, but {task} lives")

    def _parent_of(self, task: TaskKey, state: journal_pb2.TaskState) -> str | None:
        for value in self._world.disk.executors.values():
            executor = journal_pb2.Executor.FromString(value)
            names = (executor.info.framework_id.value, executor.info.executor_id.value)
            if names == (task.framework_id, state.executor_id):
                return executor.container_id
        return None

    def check_groups(self) -> None:
        """After each commit: the tasks of a group run together, and end together."""
        if not self._world.disk.executors:
            return
        self._world.executors.invariants.check_groups()
        groups: dict[tuple[FrameworkId, str, int], list[tuple[TaskKey, journal_pb2.TaskState]]] = {}
        for key, state in _states(self._world.disk.tasks.items()):
            if state.group:
                name = (key.framework_id, state.executor_id, state.group)
                groups.setdefault(name, []).append((key, state))
        for members in groups.values():
            live = [(key, state) for key, state in members if state.phase != _ENDED]
            broken = [key for key, state in members if _is_broken(state)]
            if any(state.phase == TaskPhase.RUNNING.value for _, state in live):
                for key, state in live:
                    if state.phase in _LAUNCHING:
                        raise Violation(f"{key} is {state.phase}, but its group runs")
            for key, state in live if broken else ():
                if state.cause == journal_pb2.NONE:
                    raise Violation(f"{key} lives on, but {broken[0]} has ended its group")

    def ends_with_group(self, key: TaskKey) -> bool:
        """Whether it is durable that this task of a group is being ended."""
        saved = self._world.disk.tasks.get(key)
        if saved is None:
            return False
        state = journal_pb2.TaskState.FromString(saved[1])
        return bool(state.group) and state.cause != journal_pb2.NONE

    def check_create(self, ref: Ref) -> None:
        """A restart launches a task in STAGING again, whatever was sent for it before.

        An infra container may be created again: nothing runs in it.
        """
        if not isinstance(ref.key, TaskKey):
            self._world.executors.invariants.check_create(ref)
            return
        saved = self._world.disk.tasks.get(ref.task_key)
        phase = None if saved is None else journal_pb2.TaskState.FromString(saved[1]).phase
        if phase == TaskPhase.STAGING.value:
            raise Violation(f"{ref} is created, and a restart would launch it again")

    def check_sent(self, message: Message) -> None:
        try:
            check(message, self._world.settings.capabilities)
        except UnsafeMessage as error:
            raise Violation(f"a master would abort on this message, or drop it: {error}") from error
        if isinstance(message, StatusUpdateMessage):
            self._update_sent(message)
        elif isinstance(message, ReregisterSlaveMessage):
            self._reregistration_sent(message)
        elif isinstance(message, UpdateOperationStatusMessage) and message.status.HasField("uuid"):
            self._world.volumes.check_status(message.operation_uuid.value, message.status)

    def _update_sent(self, message: StatusUpdateMessage) -> None:
        disk, uuid = self._world.disk, message.update.uuid
        key = _key(message)
        known = disk.written.get(uuid)
        if known is None:
            raise Violation(f"an update of {key} is sent before it is durable")
        if known != _without_early_end(message).SerializeToString():
            raise Violation(f"an update of {key} is sent with other bytes than before")
        acknowledged = disk.acknowledged.get(uuid)
        if acknowledged is not None:
            if acknowledged != disk.commits:
                raise Violation(f"an update of {key} is sent again after its acknowledgement")
        elif next(iter(disk.updates.get(key, {})), uuid) != uuid:
            raise Violation(
                f"an update of {key} is sent before the one ahead of it is acknowledged"
            )
        state = message.update.status.state
        if state in TERMINAL and self._world.engine.running(key):
            name = TaskState.Name(state)
            raise Violation(f"{key} is reported {name} while its container runs")
        if state in TERMINAL and self._world.executors.runs(key):
            name = TaskState.Name(state)
            raise Violation(f"{key} is reported {name} while its executor runs it")

    def _reregistration_sent(self, message: ReregisterSlaveMessage) -> None:
        disk = self._world.disk
        reported = {
            TaskKey(FrameworkId(t.framework_id.value), TaskId(t.task_id.value)): t.state
            for t in message.tasks
        }
        for key, (_, state) in disk.tasks.items():
            if key in disk.touched:
                continue
            kept = journal_pb2.TaskState.FromString(state)
            if kept.cause == journal_pb2.WITHOUT_UPDATES:
                if key in reported:
                    raise Violation(f"{key} is reported to the master, which gave the task up")
                continue
            if key not in reported:
                raise Violation(f"{key} is not reported at re-registration")
            last = kept.statuses[-1].state if kept.statuses else TaskState.TASK_STAGING
            if reported[key] != last:
                raise Violation(f"{key} is reported in a state that is not durable")
        for key in reported.keys() - disk.tasks.keys() - disk.touched:
            raise Violation(f"{key} is reported at re-registration, but is not durable")

    # --- frameworks ----------------------------------------------------------------------------

    def update_delivered(self, key: TaskKey, uuid: bytes, status: TaskStatus) -> None:
        known = self.delivered.setdefault(key, {})
        if uuid in known:
            return
        state = status.state
        states = list(known.values())
        if states and states[-1] in TERMINAL and key not in self.excused:
            ended, now = TaskState.Name(states[-1]), TaskState.Name(state)
            raise Violation(f"{key} is reported {now} after {ended}")
        if states and state not in TERMINAL and _RANK[state] < _RANK[states[-1]]:
            raise Violation(f"{key} goes back from {states[-1]} to {state}")
        if state == TaskState.TASK_KILLING and state in states:
            raise Violation(f"{key} is reported TASK_KILLING twice")
        known[uuid] = state

    def excuse(self, key: TaskKey, why: str) -> None:
        self.excused.setdefault(key, why)

    # --- the end ------------------------------------------------------------------------------

    def check_all_ends_delivered(self) -> None:
        """At the end of a run: every accepted task's terminal update was delivered."""
        for key in self._world.disk.accepted:
            if key in self.excused:
                continue
            states = list(self.delivered.get(key, {}).values())
            if not states or states[-1] not in TERMINAL:
                names = [TaskState.Name(state) for state in states]
                raise Violation(f"{key} was accepted, but its framework got only {names}")


def _without_early_end(message: StatusUpdateMessage) -> StatusUpdateMessage:
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


def _states(
    tasks: Iterable[tuple[TaskKey, tuple[bytes, bytes]]],
) -> Iterator[tuple[TaskKey, journal_pb2.TaskState]]:
    for key, (_, state) in tasks:
        yield key, journal_pb2.TaskState.FromString(state)


def _is_broken(state: journal_pb2.TaskState) -> bool:
    """The task ended in another state than TASK_FINISHED."""
    last = state.statuses[-1].state if state.statuses else None
    return state.phase == _ENDED and last != TaskState.TASK_FINISHED
