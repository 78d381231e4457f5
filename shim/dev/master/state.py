"""What the embedded master knows. No I/O, no clock, no randomness.

:class:`World` is its memory. The modules beside this one change it and append effects to
``world.out``, which the server carries out in order.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from google.protobuf.message import Message

from shim.dev.master.effects import Effect, Emit, Log, Tell
from shim.dev.master.resources import Bag
from shim.dev.master.v1json import Json
from shim.model.ids import AgentId, ExecutorId, FrameworkId, Pid, TaskId, TaskKey
from shim.model.states import TERMINAL
from shim.protos import mesos_pb2 as mesos

VERSION = "1.12.0"
"""The release whose behaviour this follows."""

AgentCapability = mesos.SlaveInfo.Capability
FrameworkCapability = mesos.FrameworkInfo.Capability

HTTP_FRAMEWORK_PID = "@0.0.0.0:0"
"""What a master writes where a driver's pid would stand, for a framework that came by HTTP."""

KEPT_REFUSALS = 1000
KEPT_COMPLETED_FRAMEWORKS = 50
KEPT_COMPLETED_TASKS = 1000
"""The last three as a master keeps them (``refusals`` are ours): history for people, bounded."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the master is set. Times in seconds; defaults are a stock master's."""

    ping_timeout: float = 15.0
    max_ping_timeouts: int = 5
    agent_reregister_timeout: float = 600.0
    allocation_interval: float = 1.0
    heartbeat_interval: float = 15.0
    authentication_timeout: float = 15.0
    authenticate_agents: bool = False
    domain: mesos.DomainInfo | None = None
    """The master's own fault domain; without one it takes no agent that has one."""

    @property
    def total_ping_timeout(self) -> float:
        return self.ping_timeout * self.max_ping_timeouts


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that a real master drops with no more than a line in its log."""

    at: float
    sender: str
    message: str
    reason: str


@dataclass(slots=True)
class TaskEntry:
    """A task as the master keeps it."""

    task: mesos.Task
    resources: Bag

    @property
    def key(self) -> TaskKey:
        return TaskKey(FrameworkId(self.task.framework_id.value), TaskId(self.task.task_id.value))

    @property
    def terminal(self) -> bool:
        return self.task.state in TERMINAL


@dataclass(slots=True)
class OperationEntry:
    """An operation that an agent has been asked to apply."""

    uuid: bytes
    info: mesos.Offer.Operation
    framework_id: FrameworkId | None
    state: int = mesos.OPERATION_PENDING


@dataclass(slots=True)
class Drain:
    config: mesos.DrainConfig
    drained: bool = False


@dataclass(slots=True)
class Agent:
    """An admitted agent."""

    id: AgentId
    pid: Pid
    info: mesos.SlaveInfo
    version: str
    capabilities: frozenset[int]
    observer: int
    registered_at: float
    resource_version: bytes = b""
    checkpointed: Bag = field(default_factory=Bag)
    total: Bag = field(default_factory=Bag)
    used: Bag = field(default_factory=Bag)
    """What tasks that have not ended, and executors, hold."""
    reregistered_at: float | None = None
    connected: bool = True
    deactivated: bool = False
    pinged: bool = False
    pings_missed: int = 0
    tasks: dict[TaskKey, TaskEntry] = field(default_factory=dict)
    executors: dict[tuple[FrameworkId, ExecutorId], mesos.ExecutorInfo] = field(
        default_factory=dict
    )
    killed: dict[TaskKey, mesos.KillPolicy | None] = field(default_factory=dict)
    operations: dict[bytes, OperationEntry] = field(default_factory=dict)
    drain: Drain | None = None

    @property
    def active(self) -> bool:
        """Whether its resources may be offered."""
        return self.connected and not self.deactivated

    def can(self, capability: int) -> bool:
        return capability in self.capabilities


@dataclass(slots=True)
class Offer:
    id: str
    framework_id: FrameworkId
    agent_id: AgentId
    role: str
    resources: Bag


@dataclass(slots=True)
class Filter:
    until: float
    resources: Bag


@dataclass(slots=True)
class Framework:
    """A framework that has subscribed, or that an agent told of after a failover."""

    id: FrameworkId
    info: mesos.FrameworkInfo
    registered_at: float
    stream_id: str | None = None
    reregistered_at: float | None = None
    suppressed: set[str] = field(default_factory=set)
    filters: dict[tuple[AgentId, str], list[Filter]] = field(default_factory=dict)
    tasks: dict[TaskId, TaskEntry] = field(default_factory=dict)
    unreachable_tasks: dict[TaskId, TaskEntry] = field(default_factory=dict)
    completed_tasks: deque[mesos.Task] = field(
        default_factory=lambda: deque(maxlen=KEPT_COMPLETED_TASKS)
    )
    removed_at: float | None = None

    @property
    def connected(self) -> bool:
        return self.stream_id is not None

    def can(self, capability: int) -> bool:
        return any(c.type == capability for c in self.info.capabilities)

    @property
    def partition_aware(self) -> bool:
        return self.can(FrameworkCapability.PARTITION_AWARE)

    @property
    def roles(self) -> frozenset[str]:
        if self.can(FrameworkCapability.MULTI_ROLE):
            return frozenset(self.info.roles)
        return frozenset({self.info.role})


@dataclass(slots=True)
class Registry:
    """What outlives a master: which agents are admitted, unreachable, gone."""

    admitted: dict[AgentId, mesos.SlaveInfo] = field(default_factory=dict)
    unreachable: dict[AgentId, float] = field(default_factory=dict)
    gone: dict[AgentId, float] = field(default_factory=dict)
    drains: dict[AgentId, Drain] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """Everything the master knows."""

    pid: Pid
    id: str
    options: Options
    new_uuid: Callable[[], bytes]
    """Sixteen bytes of a random UUID each time."""
    hostname: str = "localhost"
    now: float = 0.0
    started_at: float = 0.0
    registry: Registry = field(default_factory=Registry)
    agents: dict[AgentId, Agent] = field(default_factory=dict)
    recovered: dict[AgentId, mesos.SlaveInfo] = field(default_factory=dict)
    """Admitted before this master started, and not back yet."""
    frameworks: dict[FrameworkId, Framework] = field(default_factory=dict)
    completed: dict[FrameworkId, Framework] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    authenticated: dict[Pid, str] = field(default_factory=dict)
    authenticating: dict[Pid, list[Message]] = field(default_factory=dict)
    """Agents whose authentication is under way, with what they sent meanwhile."""
    timers: dict[tuple[str, str], float] = field(default_factory=dict)
    refusals: deque[Refusal] = field(default_factory=lambda: deque(maxlen=KEPT_REFUSALS))
    aborted: str | None = None
    out: list[Effect] = field(default_factory=list)
    agent_numbers: Iterator[int] = field(default_factory=itertools.count)
    framework_numbers: Iterator[int] = field(default_factory=itertools.count)
    offer_numbers: Iterator[int] = field(default_factory=itertools.count)
    observer_numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def tell(self, agent: Agent, message: Message, *, sender: str = "master") -> None:
        self.out.append(Tell(agent.pid, sender, message))

    def emit(self, framework: Framework, kind: str, body: Json | None = None) -> None:
        """An event for the framework, if it listens."""
        if framework.stream_id is not None:
            event: Json = {"type": kind}
            if body is not None:
                event[kind.lower()] = body
            self.out.append(Emit(framework.stream_id, event))

    def log(self, text: str, level: int = logging.INFO) -> None:
        self.out.append(Log(level, text))

    def refuse(self, sender: object, message: Message | str, reason: str) -> None:
        name = message if isinstance(message, str) else message.DESCRIPTOR.name
        self.refusals.append(Refusal(self.now, str(sender), name, reason))
        self.log(f"dropped {name} of {sender}: {reason}", logging.WARNING)

    def abort(self, sender: object, message: Message | str, reason: str) -> None:
        """Where a real master's process would die: remember it, loudly, and stop serving."""
        name = message if isinstance(message, str) else message.DESCRIPTOR.name
        self.aborted = f"{name} of {sender} would abort a Mesos master: {reason}"
        self.log(self.aborted, logging.ERROR)

    def agent_at(self, pid: Pid) -> Agent | None:
        return next((a for a in self.agents.values() if a.pid == pid), None)

    def timer(self, kind: str, name: str, delay: float) -> None:
        self.timers[kind, name] = self.now + delay

    def allocate_soon(self) -> None:
        """Resources became free: they are offered with the next batch."""
        self.timers.setdefault(("allocate", ""), self.now + self.options.allocation_interval)

    def stop_timer(self, kind: str, name: str) -> None:
        self.timers.pop((kind, name), None)
