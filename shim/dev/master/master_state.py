"""The memory of the embedded master. No I/O, no clock, no randomness.

The other modules of this package change a :class:`MasterState` and append effects to its ``out``.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from google.protobuf.message import Message

from shim.dev.master.effects import Effect, Log, SendEvent, SendMessage
from shim.model.ids import AgentId, ExecutorId, FrameworkId, Pid, TaskId, TaskKey
from shim.model.resource_sets import Resources
from shim.model.states import TERMINAL
from shim.model.v1_json import Json
from shim.protos import mesos_pb2 as mesos

VERSION = "1.12.0"
"""The Mesos development version whose behaviour the embedded master follows."""

AgentCapability = mesos.SlaveInfo.Capability
FrameworkCapability = mesos.FrameworkInfo.Capability

HTTP_FRAMEWORK_PID = "@0.0.0.0:0"
"""The pid that a master sends for a framework with the HTTP scheduler API."""

KEPT_DROPPED = 1000
KEPT_COMPLETED_FRAMEWORKS = 50
KEPT_COMPLETED_TASKS = 1000
"""Bounds of the history. Mesos has the last two; dropped messages are kept for tests."""


@dataclass(frozen=True, slots=True)
class Options:
    """The master's flags. Times in seconds; the defaults are those of Mesos."""

    ping_timeout: float = 15.0
    max_ping_timeouts: int = 5
    agent_reregister_timeout: float = 600.0
    allocation_interval: float = 1.0
    heartbeat_interval: float = 15.0
    authentication_timeout: float = 15.0
    authenticate_agents: bool = False
    domain: mesos.DomainInfo | None = None
    """The master's fault domain. A master without one rejects an agent that has one."""

    @property
    def total_ping_timeout(self) -> float:
        return self.ping_timeout * self.max_ping_timeouts


@dataclass(frozen=True, slots=True)
class DroppedMessage:
    """A message that a real master drops with only a line in its log."""

    at: float
    sender: str
    message: str
    reason: str


@dataclass(slots=True)
class TaskEntry:
    """A task in the master's memory."""

    task: mesos.Task
    resources: Resources

    @property
    def key(self) -> TaskKey:
        return TaskKey(FrameworkId(self.task.framework_id.value), TaskId(self.task.task_id.value))

    @property
    def terminal(self) -> bool:
        return self.task.state in TERMINAL


@dataclass(slots=True)
class OperationEntry:
    """An offer operation that was sent to an agent."""

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
    checkpointed: Resources = field(default_factory=Resources)
    total: Resources = field(default_factory=Resources)
    used: Resources = field(default_factory=Resources)
    """The resources of executors and of tasks that have not ended."""
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
        """Whether the agent's resources may be offered."""
        return self.connected and not self.deactivated

    def can(self, capability: int) -> bool:
        return capability in self.capabilities


@dataclass(slots=True)
class Offer:
    id: str
    framework_id: FrameworkId
    agent_id: AgentId
    role: str
    resources: Resources


@dataclass(slots=True)
class Filter:
    until: float
    resources: Resources


@dataclass(slots=True)
class MasterFramework:
    """A framework that has subscribed, or that a re-registering agent reported."""

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
    """What survives a master: agents that are admitted, unreachable, gone or draining."""

    admitted: dict[AgentId, mesos.SlaveInfo] = field(default_factory=dict)
    unreachable: dict[AgentId, float] = field(default_factory=dict)
    gone: dict[AgentId, float] = field(default_factory=dict)
    drains: dict[AgentId, Drain] = field(default_factory=dict)


@dataclass(slots=True)
class MasterState:
    """Everything that the master holds in memory."""

    pid: Pid
    id: str
    options: Options
    new_uuid: Callable[[], bytes]
    """Returns the 16 bytes of a new random UUID."""
    hostname: str = "localhost"
    now: float = 0.0
    started_at: float = 0.0
    registry: Registry = field(default_factory=Registry)
    agents: dict[AgentId, Agent] = field(default_factory=dict)
    recovered: dict[AgentId, mesos.SlaveInfo] = field(default_factory=dict)
    """Agents of the registry that have not re-registered since the master started."""
    frameworks: dict[FrameworkId, MasterFramework] = field(default_factory=dict)
    completed: dict[FrameworkId, MasterFramework] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    authenticated: dict[Pid, str] = field(default_factory=dict)
    authenticating: dict[Pid, list[Message]] = field(default_factory=dict)
    """Agents that are authenticating, with their held messages."""
    timers: dict[tuple[str, str], float] = field(default_factory=dict)
    dropped: deque[DroppedMessage] = field(default_factory=lambda: deque(maxlen=KEPT_DROPPED))
    aborted: str | None = None
    out: list[Effect] = field(default_factory=list)
    agent_numbers: Iterator[int] = field(default_factory=itertools.count)
    framework_numbers: Iterator[int] = field(default_factory=itertools.count)
    offer_numbers: Iterator[int] = field(default_factory=itertools.count)
    observer_numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def send(self, agent: Agent, message: Message, *, sender: str = "master") -> None:
        self.out.append(SendMessage(agent.pid, sender, message))

    def send_event(self, framework: MasterFramework, kind: str, body: Json | None = None) -> None:
        """Send an event to the framework if it is connected."""
        if framework.stream_id is not None:
            event: Json = {"type": kind}
            if body is not None:
                event[kind.lower()] = body
            self.out.append(SendEvent(framework.stream_id, event))

    def log(self, text: str, level: int = logging.INFO) -> None:
        self.out.append(Log(level, text))

    def drop_message(self, sender: object, message: Message | str, reason: str) -> None:
        name = message if isinstance(message, str) else message.DESCRIPTOR.name
        self.dropped.append(DroppedMessage(self.now, str(sender), name, reason))
        self.log(f"dropped {name} of {sender}: {reason}", logging.WARNING)

    def abort(self, sender: object, message: Message | str, reason: str) -> None:
        """A real master's process would abort here: log an error and stop serving."""
        name = message if isinstance(message, str) else message.DESCRIPTOR.name
        self.aborted = f"{name} of {sender} would abort a Mesos master: {reason}"
        self.log(self.aborted, logging.ERROR)

    def agent_at(self, pid: Pid) -> Agent | None:
        return next((a for a in self.agents.values() if a.pid == pid), None)

    def set_timer(self, kind: str, name: str, delay: float) -> None:
        self.timers[kind, name] = self.now + delay

    def schedule_allocation(self) -> None:
        """Allocate within one allocation interval."""
        self.timers.setdefault(("allocate", ""), self.now + self.options.allocation_interval)

    def cancel_timer(self, kind: str, name: str) -> None:
        self.timers.pop((kind, name), None)
