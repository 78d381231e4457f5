"""What must hold of custom executors, whatever goes wrong.

1. At most one container of an executor runs. A restart of the agent launches no second one.
2. A task is handed to its own executor, once, and only when it is durable that it was. The tasks of
   a group are handed over together.
3. An update is acknowledged to its executor when it is durable, or when its task has ended.
4. Framework messages arrive as they were sent.
5. Another process that registers as an executor is sent nothing but the order to shut down, and
   the executor itself is sent that order only when it is to end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from shim.core.executors import ExecutorPhase
from shim.core.lifecycle import TaskPhase
from shim.model.container import Ref
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey
from shim.protos import journal_pb2
from shim.protos import messages_pb2 as m
from shim.protos.executor_pb2 import Event
from shim.protos.mesos_pb2 import TaskInfo
from tests.sim.clock import Violation

if TYPE_CHECKING:
    from tests.sim.executors import ExecutorProcesses


class ExecutorInvariants:
    def __init__(self, executors: ExecutorProcesses) -> None:
        self._executors = executors
        self._disk = executors.world.disk
        self.handed_over = 0
        """Tasks that executors were handed."""
        self.acknowledged = 0
        """Acknowledgements of their updates."""

    # --- containers ---------------------------------------------------------------------------

    def check_started(self, ref: Ref, running: Iterable[Ref]) -> None:
        for other in running:
            if other.key == ref.key:
                raise Violation(f"{ref} is started, and {other} of the same executor runs")

    def check_create(self, ref: Ref) -> None:
        """A restart launches an executor again unless it is durable that it may exist."""
        if not self._executors.is_custom(ref):
            return
        value = self._disk.executors.get(ref.container_id)
        if value is None:
            return
        saved = journal_pb2.Executor.FromString(value)
        registering = saved.phase == ExecutorPhase.REGISTERING.value
        if registering and not saved.custom.creating:
            raise Violation(f"{ref} is created, and a restart would launch it again")

    # --- tasks --------------------------------------------------------------------------------

    def check_groups(self) -> None:
        """After each commit: a group that is handed over is handed over whole."""
        groups: dict[tuple[FrameworkId, str, int], set[str]] = {}
        for key, (_, value) in self._disk.tasks.items():
            if key in self._executors.executor_of:
                state = journal_pb2.TaskState.FromString(value)
                if state.custom_group:
                    name = (key.framework_id, state.executor_id, state.custom_group)
                    groups.setdefault(name, set()).add(state.phase)
        for name, phases in groups.items():
            if len(phases) > 1 and TaskPhase.QUEUED.value in phases:
                raise Violation(f"a part of the task group {name} waits: {sorted(phases)}")

    def check_launched(self, ref: Ref, key: TaskKey, *, again: bool) -> None:
        """An executor is handed this task; ``again``: it had been handed it before."""
        if again:
            raise Violation(f"{key} is handed to its executor a second time")
        if self._executors.executor_of.get(key) != ref.key:
            raise Violation(f"{key} is handed to {ref}, which is not its executor")
        self.handed_over += 1

    # --- messages of the agent ----------------------------------------------------------------

    def check_v0(self, message: Message, *, impostor: bool) -> None:
        """The agent sends this to a v0 executor, or to an impostor."""
        if impostor and not isinstance(message, m.ShutdownExecutorMessage):
            raise Violation(f"an impostor is sent {type(message).__name__}")
        if isinstance(message, m.RunTaskMessage):
            self._check_handed_over(FrameworkId(message.framework_id.value), message.task)
        elif isinstance(message, m.StatusUpdateAcknowledgementMessage):
            framework_id, task_id = message.framework_id.value, message.task_id.value
            key = TaskKey(FrameworkId(framework_id), TaskId(task_id))
            self._check_acknowledged(key, message.uuid)

    def check_shutdown(self, ref: Ref, message: Message) -> None:
        """The agent sends this to the executor in this container: to an ending one, a shutdown."""
        record = self._disk.executors.get(ref.container_id)
        if isinstance(message, m.ShutdownExecutorMessage) and record is not None:
            phase = journal_pb2.Executor.FromString(record).phase
            if phase in (ExecutorPhase.REGISTERING.value, ExecutorPhase.RUNNING.value):
                raise Violation(f"{ref} is {phase}, and is turned away")

    def check_v1(self, framework_id: FrameworkId, event: Event) -> None:
        """The agent sends this to a v1 executor of the framework."""
        if event.type == Event.LAUNCH:
            self._check_handed_over(framework_id, event.launch.task)
        elif event.type == Event.LAUNCH_GROUP:
            for task in event.launch_group.task_group.tasks:
                self._check_handed_over(framework_id, task)
        elif event.type == Event.ACKNOWLEDGED:
            task_id = TaskId(event.acknowledged.task_id.value)
            self._check_acknowledged(TaskKey(framework_id, task_id), event.acknowledged.uuid)

    def _check_handed_over(self, framework_id: FrameworkId, task: TaskInfo) -> None:
        key = TaskKey(framework_id, TaskId(task.task_id.value))
        if self._phase(key) == TaskPhase.QUEUED.value:
            raise Violation(f"{key} is handed over, and a restart would hand it over again")

    def _check_acknowledged(self, key: TaskKey, uuid: bytes) -> None:
        self.acknowledged += 1
        if uuid not in self._disk.written and self._phase(key) not in (None, TaskPhase.ENDED.value):
            raise Violation(f"an update of {key} is acknowledged and not durable")

    def _phase(self, key: TaskKey) -> str | None:
        """On disk; None when the task is not there."""
        saved = self._disk.tasks.get(key)
        return None if saved is None else journal_pb2.TaskState.FromString(saved[1]).phase

    # --- framework messages -------------------------------------------------------------------

    def check_message(self, key: ExecutorKey, data: bytes) -> None:
        """A framework's message arrived at this executor: each has the executor's name in it."""
        if data != str(key).encode():
            raise Violation(f"{key} gets the message {data!r}")

    def check_returned(self, message: m.ExecutorToFrameworkMessage) -> None:
        """A message of an executor arrived at the master."""
        framework_id = FrameworkId(message.framework_id.value)
        key = ExecutorKey(framework_id, ExecutorId(message.executor_id.value))
        if message.data != str(key).encode():
            raise Violation(f"a message of {key} says {message.data!r}")
