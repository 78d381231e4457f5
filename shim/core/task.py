"""One accepted task: what never changes (its TaskInfo) and what does."""

from __future__ import annotations

from dataclasses import dataclass

from shim.core.lifecycle import Phase
from shim.model.container import Ref
from shim.model.ids import AgentId, ContainerId, TaskKey
from shim.protos import journal_pb2
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import Task as WireTask
from shim.protos.mesos_pb2 import TaskInfo, TaskState, TaskStatus


@dataclass(slots=True)
class Task:
    ref: Ref
    info: TaskInfo
    wire: WireTask
    """As it is reported at re-registration."""
    phase: Phase
    accepted: float
    """Seconds since the epoch."""
    cause: Cause.ValueType = Cause.NONE
    grace: float = 0.0
    """Seconds, of the stop under way."""
    addresses: tuple[str, ...] = ()
    healthy: bool | None = None
    check_status: bytes | None = None
    drained: bool = False
    stage: str = ""
    """What its launch is busy with, for people."""

    @property
    def key(self) -> TaskKey:
        return self.ref.key

    @property
    def live(self) -> bool:
        return self.phase is not Phase.ENDED

    @property
    def container_running(self) -> bool:
        """Its container was seen running and has not ended: it may be in service discovery."""
        return self.phase in (Phase.RUNNING, Phase.STOPPING)

    def note(self, status: TaskStatus) -> None:
        """Take a status into the task's history: of a run of one state the newest stays."""
        # A message keeps the memory of all it ever held, so that a task whose health changes
        # every minute would grow for years: this one is made anew.
        self.wire, wire = WireTask(), self.wire
        statuses = wire.statuses
        if statuses and statuses[-1].state == status.state:
            del statuses[-1]
        self.wire.CopyFrom(wire)
        self.wire.state = status.state
        noted = self.wire.statuses.add()
        noted.CopyFrom(status)
        # The inspect text is the scheduler's; the master throws it away as well.
        noted.ClearField("data")

    def state(self) -> bytes:
        """The changing part, as the journal keeps it."""
        kept = journal_pb2.TaskState(
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
            kept.healthy = self.healthy
        if self.check_status is not None:
            kept.check_status = self.check_status
        return kept.SerializeToString()

    @classmethod
    def accept(
        cls, key: TaskKey, info: TaskInfo, agent_id: AgentId, container_id: ContainerId, at: float
    ) -> Task:
        # A parsed message keeps all of the message that it came in, and room it did not need: a
        # copy takes half as much or less.
        own = TaskInfo()
        own.CopyFrom(info)
        return cls(Ref(key, container_id), own, wire_task(key, own, agent_id), Phase.STAGING, at)

    @classmethod
    def restore(cls, key: TaskKey, agent_id: AgentId, info: bytes, state: bytes) -> Task:
        """The task as the journal has it. Raises google's DecodeError on a damaged record."""
        kept = journal_pb2.TaskState.FromString(state)
        task = cls.accept(
            key, TaskInfo.FromString(info), agent_id, ContainerId(kept.container_id), kept.accepted
        )
        task.phase = Phase(kept.phase)
        task.cause = kept.cause
        task.grace = kept.grace
        task.addresses = tuple(kept.addresses)
        task.drained = kept.drained
        task.wire.statuses.extend(kept.statuses)
        if kept.statuses:
            task.wire.state = kept.statuses[-1].state
        if kept.HasField("healthy"):
            task.healthy = kept.healthy
        if kept.HasField("check_status"):
            task.check_status = kept.check_status
        return task


def wire_task(key: TaskKey, info: TaskInfo, agent_id: AgentId) -> WireTask:
    """A command task as the master knows it: no executor id, resources exactly as received."""
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
