"""A custom executor: the program of a framework, in one container, that runs the tasks of it.

Its life as a literal table::

    launch -> REGISTERING -(registers, has tasks)-> RUNNING -(order, its own fault)-> TERMINATING
                |   |  ^                              |  |                              |   |  ^
                |   |  +---- restart of the agent ----+  |                    grace over|   +--+
                |   +- overdue, order, nothing to do -> TERMINATING             (destroy)   |
                +------------- its container ended ------+----> TERMINATED <----------------+

===========  ====================================================================================
REGISTERING  its container is launched, or the agent restarted: it has not registered yet
RUNNING      it registered (v0) or subscribed (v1): tasks and kills are passed on to it
TERMINATING  it was asked to shut down, or its container is being stopped
TERMINATED   its container ended; its tasks have ended too, their updates may not be acknowledged
===========  ====================================================================================

Every pair of phase and event is in the table: facts and orders cross. Source: Mesos'
``slave/slave.hpp`` (``Executor::State``).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shim.core.executors import ExecutorPhase
from shim.model.container import Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, Pid, TaskId, TaskKey
from shim.model.resources import thousandths
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import ExecutorInfo, Resource, TaskStatus, Value
from shim.protos.messages_pb2 import StatusUpdate


class CustomExecutorEvent(enum.Enum):
    REGISTERED = "it registered or subscribed"
    OVERDUE = "it did not register in time, or was not back in time after a restart of the agent"
    SHUTDOWN = "it is to be ended"
    UNFIT = "its container cannot have the size that its tasks need"
    GRACE_OVER = "its shutdown grace period is over"
    ENDED = "its container ended, or was never started"


class CustomExecutorAction(enum.Enum):
    """What the core does: ``core.custom_executors.CustomExecutors`` has the method of each."""

    IGNORE = "do nothing"
    WELCOME = "settle which tasks it has, then hand over the queued ones"
    TURN_AWAY = "order it to shut down"
    DESTROY = "stop its container"
    SHUT_DOWN = "order it to shut down, and stop its container after the grace period"
    CONCLUDE = "end its tasks, report to the master, have its container removed"


_A, _P, _E = CustomExecutorAction, ExecutorPhase, CustomExecutorEvent

Step = tuple[ExecutorPhase, CustomExecutorAction]

TABLE: dict[ExecutorPhase, dict[CustomExecutorEvent, Step]] = {
    _P.REGISTERING: {
        _E.REGISTERED: (_P.RUNNING, _A.WELCOME),
        _E.OVERDUE: (_P.TERMINATING, _A.DESTROY),
        # It has no contact to send the message to.
        _E.SHUTDOWN: (_P.TERMINATING, _A.DESTROY),
        _E.UNFIT: (_P.TERMINATING, _A.DESTROY),
        _E.GRACE_OVER: (_P.REGISTERING, _A.IGNORE),
        _E.ENDED: (_P.TERMINATED, _A.CONCLUDE),
    },
    _P.RUNNING: {
        _E.REGISTERED: (_P.RUNNING, _A.WELCOME),
        _E.OVERDUE: (_P.RUNNING, _A.IGNORE),
        _E.SHUTDOWN: (_P.TERMINATING, _A.SHUT_DOWN),
        _E.UNFIT: (_P.TERMINATING, _A.DESTROY),
        _E.GRACE_OVER: (_P.RUNNING, _A.IGNORE),
        _E.ENDED: (_P.TERMINATED, _A.CONCLUDE),
    },
    _P.TERMINATING: {
        _E.REGISTERED: (_P.TERMINATING, _A.TURN_AWAY),
        _E.OVERDUE: (_P.TERMINATING, _A.IGNORE),
        _E.SHUTDOWN: (_P.TERMINATING, _A.IGNORE),
        _E.UNFIT: (_P.TERMINATING, _A.IGNORE),
        _E.GRACE_OVER: (_P.TERMINATING, _A.DESTROY),
        _E.ENDED: (_P.TERMINATED, _A.CONCLUDE),
    },
    _P.TERMINATED: {
        _E.REGISTERED: (_P.TERMINATED, _A.TURN_AWAY),
        _E.OVERDUE: (_P.TERMINATED, _A.IGNORE),
        _E.SHUTDOWN: (_P.TERMINATED, _A.IGNORE),
        _E.UNFIT: (_P.TERMINATED, _A.IGNORE),
        _E.GRACE_OVER: (_P.TERMINATED, _A.IGNORE),
        _E.ENDED: (_P.TERMINATED, _A.IGNORE),
    },
}


def step(phase: ExecutorPhase, event: CustomExecutorEvent) -> Step:
    """The next phase, and the action to perform."""
    return TABLE[phase][event]


@dataclass(frozen=True, slots=True)
class Size:
    """What a container has or needs, in thousandths of cpus and of MB."""

    cpus: int = 0
    mem: int = 0

    @classmethod
    def of(cls, *groups: Iterable[Resource]) -> Size:
        """The sum of all cpus and mem in these lists of resources."""
        total = {"cpus": 0, "mem": 0}
        for group in groups:
            for resource in group:
                if resource.name in total:
                    total[resource.name] += thousandths(resource.scalar.value) or 0
        return cls(**total)

    def covers(self, other: Size) -> bool:
        return self.cpus >= other.cpus and self.mem >= other.mem

    def joined(self, other: Size) -> Size:
        """The larger of both, in each dimension: memory in use cannot be taken back."""
        return Size(max(self.cpus, other.cpus), max(self.mem, other.mem))

    def resources(self) -> tuple[Resource, ...]:
        return tuple(
            Resource(name=name, type=Value.SCALAR, scalar=Value.Scalar(value=value / 1000))
            for name, value in (("cpus", self.cpus), ("mem", self.mem))
        )

    def __str__(self) -> str:
        return f"cpus:{self.cpus / 1000:g};mem:{self.mem / 1000:g}"


@dataclass(frozen=True, slots=True)
class Contact:
    """How an executor registered, and what it says that the agent may not know."""

    pid: Pid | None = None
    """Of a v0 executor."""
    stream: int | None = None
    """Of a v1 executor."""
    authenticated: bool = False
    """A v1 executor showed the token of its container."""
    again: bool = False
    """A v0 executor registers again, after the agent asked it to."""
    tasks: frozenset[TaskId] = frozenset()
    """Tasks of which it has no acknowledged update."""
    updates: tuple[StatusUpdate, ...] = ()
    """Updates that the agent has not acknowledged to it."""


@dataclass(slots=True, eq=False)
class CustomExecutor:
    ref: Ref
    info: ExecutorInfo
    """With its framework_id."""
    accepted: float
    """Seconds since the epoch."""
    phase: ExecutorPhase = ExecutorPhase.REGISTERING
    creating: bool = False
    """The create of its container is allowed: the container may exist."""
    started: bool = False
    """Its container was seen running."""
    addresses: tuple[str, ...] = ()
    """Of its container; empty on the host's network."""
    pid: Pid | None = None
    """Of a registered v0 executor."""
    stream: int | None = None
    """The event stream of a subscribed v1 executor; never of an earlier process of the agent."""
    subscribed: bool = False
    """It is a v1 executor."""
    authenticated: bool = False
    """It subscribed with its token: nobody subscribes as it without one."""
    used: bool = False
    """It was handed a task."""
    size: Size = field(default_factory=Size)
    """What its container has."""
    volumes: tuple[str, ...] = ()
    """Names of the persistent volumes that its container may mount: its own, its first tasks'."""
    resizing: Size | None = None
    """What its container is being given."""
    ended_by: TaskStatus | None = None
    """State, reason and message for the tasks that it leaves behind; None: it ended by itself."""
    groups: int = 0
    """How many task groups it was given."""
    task_keys: dict[TaskKey, None] = field(default_factory=dict)
    """Its tasks that the agent has a record of, oldest first."""
    reconnecting: bool = False
    """The agent restarted: it was registered, and is expected back."""
    waiting: dict[str, Contact] = field(default_factory=dict)
    """Who registered before the container was seen running, and its address known: one contact of
    each address, oldest first. The key of a v1 executor is empty."""
    explaining: bool = False
    """It is overdue; the reason is being looked for."""
    retry_until: float = 0.0
    """While ``reconnecting``: when it is given up, in monotonic seconds."""

    @property
    def key(self) -> ExecutorKey:
        assert isinstance(self.ref.key, ExecutorKey)
        return self.ref.key

    @property
    def container_id(self) -> ContainerId:
        return self.ref.container_id

    @property
    def is_subscribed(self) -> bool:
        """Its calls are taken. Before it has subscribed, and until it is back, they are not."""
        return self.phase is not ExecutorPhase.REGISTERING

    @property
    def live(self) -> bool:
        return self.phase is not ExecutorPhase.TERMINATED

    def __str__(self) -> str:
        return f"executor {self.key.executor_id} of framework {self.key.framework_id}"

    def journal_value(self) -> bytes:
        """A serialized ``shim.journal.Executor``."""
        saved = journal_pb2.Executor(
            info=self.info,
            container_id=self.ref.container_id,
            phase=self.phase.value,
            accepted=self.accepted,
            has_container=True,
            addresses=self.addresses,
            groups=self.groups,
        )
        saved.custom.creating = self.creating
        saved.custom.started = self.started
        saved.custom.subscribed = self.subscribed
        saved.custom.authenticated = self.authenticated
        saved.custom.used = self.used
        saved.custom.cpus, saved.custom.mem = self.size.cpus, self.size.mem
        saved.custom.volumes.extend(self.volumes)
        if self.pid is not None:
            saved.custom.pid = str(self.pid)
        if self.ended_by is not None:
            saved.custom.ended_by.CopyFrom(self.ended_by)
        return saved.SerializeToString()

    @classmethod
    def restore(cls, saved: journal_pb2.Executor) -> CustomExecutor:
        """From its record, which has ``custom``."""
        key = ExecutorKey(
            FrameworkId(saved.info.framework_id.value), ExecutorId(saved.info.executor_id.value)
        )
        custom = saved.custom
        executor = cls(
            Ref(key, ContainerId(saved.container_id)),
            saved.info,
            saved.accepted,
            ExecutorPhase(saved.phase),
            creating=custom.creating,
            started=custom.started,
            addresses=tuple(saved.addresses),
            pid=Pid.parse(custom.pid) if custom.HasField("pid") else None,
            volumes=tuple(custom.volumes),
            subscribed=custom.subscribed,
            authenticated=custom.authenticated,
            used=custom.used,
            size=Size(custom.cpus, custom.mem),
            groups=saved.groups,
        )
        if custom.HasField("ended_by"):
            executor.ended_by = custom.ended_by
        return executor


def same_executor(one: ExecutorInfo, other: ExecutorInfo) -> bool:
    """Whether two ExecutorInfos are equal for a master: lists of messages have no order."""
    return _canonical(one) == _canonical(other)


def _canonical(info: ExecutorInfo) -> bytes:
    copy = ExecutorInfo()
    copy.CopyFrom(info)
    for messages in (
        copy.resources,
        copy.command.uris,
        copy.command.environment.variables,
        copy.labels.labels,
        copy.container.volumes,
        copy.container.docker.parameters,
    ):
        _sort(messages)
    return copy.SerializeToString(deterministic=True)


def _sort(messages: Any) -> None:
    """Sort a repeated field by its bytes, in place. A message without one stays unset."""
    if len(messages) < 2:
        return
    ordered = sorted(messages, key=lambda m: m.SerializeToString(deterministic=True))
    del messages[:]
    messages.extend(ordered)
