"""One accepted task: its TaskInfo, which never changes, and its state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from shim.core.default_executor import Group, GroupPhase
from shim.core.lifecycle import TaskPhase
from shim.model.container import ContainerPort, Ref
from shim.model.ids import AgentId, ContainerId, ExecutorId, ExecutorKey, TaskKey
from shim.protos import journal_pb2
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import Task as WireTask
from shim.protos.mesos_pb2 import TaskInfo, TaskState, TaskStatus


class LaunchStep(NamedTuple):
    """One stage of a launch, for pages."""

    stage: str
    began: float
    """Seconds since the epoch."""
    detail: str
    """The newest words on it, such as the bytes pulled."""


@dataclass(slots=True)
class Task:
    ref: Ref
    info: TaskInfo
    wire: WireTask
    """As re-registration reports it."""
    phase: TaskPhase
    accepted: float
    """Seconds since the epoch."""
    cause: Cause.ValueType = Cause.NONE
    """Why the agent ends the task. WITHOUT_UPDATES: as KILL, for a task that the master gave up."""
    grace: float = 0.0
    """Seconds between the signals of the stop under way."""
    addresses: tuple[str, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    """As the container has them; not durable, since a list of the containers has them again."""
    healthy: bool | None = None
    check_status: bytes | None = None
    drained: bool = False
    """A drain is the reason of the kill."""
    listed: bool = False
    """A re-registration request, perhaps of an earlier process, lists the task."""
    group: Group | None = None
    """The task group that it was launched in."""
    running_since: float | None = None
    """When a task of a group became TASK_RUNNING, in seconds since the epoch."""
    executor_key: ExecutorKey | None = None
    """The custom executor that runs it."""
    custom_group: int = 0
    """Its task group of a custom executor, counted from 1; 0: it belongs to none."""
    stage: str = ""
    """The present step of its launch, for pages."""
    steps: list[LaunchStep] = field(default_factory=list)
    """The stages of its launch so far, oldest first; not durable."""

    @property
    def key(self) -> TaskKey:
        return self.ref.task_key

    @property
    def executor_id(self) -> str:
        """As status updates name it: the executor of a command task has the task's id."""
        return self.wire.executor_id.value or self.key.task_id

    @property
    def live(self) -> bool:
        return self.phase is not TaskPhase.ENDED

    def join(self, key: ExecutorKey, group: int) -> None:
        """The custom executor runs the task; all its tasks share its one ExecutorInfo."""
        self.executor_key, self.custom_group = key, group
        self.info.ClearField("executor")
        self.wire.executor_id.value = key.executor_id

    def belongs_to(self, executor: ExecutorKey) -> bool:
        """Whether it is of this executor, a DEFAULT or a CUSTOM one."""
        return executor == (self.executor_key if self.group is None else self.group.executor.key)

    @property
    def inside_executor(self) -> bool:
        """It is live and of a custom executor: it has no container of its own."""
        return self.phase in (TaskPhase.QUEUED, TaskPhase.DELIVERED)

    @property
    def queued(self) -> bool:
        """Its group waits for the executor: no container of it was asked for."""
        return self.group is not None and self.group.phase is GroupPhase.QUEUED

    @property
    def container_running(self) -> bool:
        """Its container was seen running and has not ended.

        Only such a task may be in service discovery and under checks.
        """
        return self.phase in (TaskPhase.LAUNCHED, TaskPhase.RUNNING, TaskPhase.STOPPING)

    def add_status(self, status: TaskStatus) -> None:
        """Append a status to the task's statuses; it replaces a last one of the same state."""
        # A protobuf message never returns memory. A new message per status keeps a task whose
        # health changes every minute from growing for years.
        self.wire, wire = WireTask(), self.wire
        statuses = wire.statuses
        if statuses and statuses[-1].state == status.state:
            del statuses[-1]
        self.wire.CopyFrom(wire)
        self.wire.state = status.state
        noted = self.wire.statuses.add()
        noted.CopyFrom(status)
        # The inspect text is for the scheduler; the master drops it as well.
        noted.ClearField("data")

    def journal_state(self) -> bytes:
        """The changing part: a serialized ``shim.journal.TaskState``."""
        saved = journal_pb2.TaskState(
            container_id=self.ref.container_id,
            phase=self.phase.value,
            accepted=self.accepted,
            cause=self.cause,
            grace=self.grace,
            statuses=self.wire.statuses,
            addresses=self.addresses,
            drained=self.drained,
        )
        if self.healthy is not None:
            saved.healthy = self.healthy
        if self.check_status is not None:
            saved.check_status = self.check_status
        if self.group is not None:
            saved.executor_id = self.wire.executor_id.value
            saved.group = self.group.number
        if self.executor_key is not None:
            saved.executor_id = self.executor_key.executor_id
            saved.custom_group = self.custom_group
        if self.running_since is not None:
            saved.running = self.running_since
        return saved.SerializeToString()

    @classmethod
    def accept(
        cls,
        key: TaskKey,
        info: TaskInfo,
        agent_id: AgentId,
        container_id: ContainerId,
        at: float,
        group: Group | None = None,
    ) -> Task:
        # A parsed message shares the memory of the whole message that it came in. A copy takes
        # half as much or less.
        own = TaskInfo()
        own.CopyFrom(info)
        wire = wire_task(key, own, agent_id)
        if group is not None:
            # All tasks of an executor share its one ExecutorInfo.
            own.ClearField("executor")
            wire.executor_id.value = group.executor.key.executor_id
        return cls(Ref(key, container_id), own, wire, TaskPhase.STAGING, at, group=group)

    @classmethod
    def restore(
        cls,
        key: TaskKey,
        agent_id: AgentId,
        info: bytes,
        state: bytes,
        group_of: Callable[[TaskKey, journal_pb2.TaskState], Group | None],
    ) -> Task:
        """The task from its journal record. Raises google's DecodeError on a damaged record.

        ``group_of`` finds the task group of a task.
        """
        saved = journal_pb2.TaskState.FromString(state)
        task = cls.accept(
            key,
            TaskInfo.FromString(info),
            agent_id,
            ContainerId(saved.container_id),
            saved.accepted,
            group_of(key, saved),
        )
        task.phase = TaskPhase(saved.phase)
        task.cause = saved.cause
        task.grace = saved.grace
        task.addresses = tuple(saved.addresses)
        task.drained = saved.drained
        task.wire.statuses.extend(saved.statuses)
        if saved.statuses:
            task.wire.state = saved.statuses[-1].state
        if saved.HasField("healthy"):
            task.healthy = saved.healthy
        if saved.HasField("check_status"):
            task.check_status = saved.check_status
        if saved.HasField("custom_group"):
            executor_key = ExecutorKey(key.framework_id, ExecutorId(saved.executor_id))
            task.join(executor_key, saved.custom_group)
        if saved.HasField("running"):
            task.running_since = saved.running
        return task


def wire_task(key: TaskKey, info: TaskInfo, agent_id: AgentId) -> WireTask:
    """The task in the master's form: without an executor id, resources exactly as received."""
    task = WireTask(name=info.name, state=TaskState.TASK_STAGING)
    task.task_id.value = key.task_id
    task.framework_id.value = key.framework_id
    task.slave_id.value = agent_id
    task.resources.extend(info.resources)
    for name in ("labels", "discovery", "container", "health_check", "kill_policy"):
        if info.HasField(name):
            getattr(task, name).CopyFrom(getattr(info, name))
    for resource, limit in info.limits.items():
        task.limits[resource].CopyFrom(limit)
    if info.command.HasField("user"):
        task.user = info.command.user
    return task
