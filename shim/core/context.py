"""What the parts of the core share: settings, the time, randomness, timers, the decision so far."""

from __future__ import annotations

import enum
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from shim.core.timers import Timers
from shim.model.capabilities import AGENT_CAPABILITIES, RESIZE_VOLUME
from shim.model.ids import AgentId, Pid
from shim.model.orders import Launch, Level, Notice, Order
from shim.model.records import Record
from shim.protos.mesos_pb2 import SlaveInfo


class Now(NamedTuple):
    """One reading of both clocks, in seconds."""

    mono: float
    """Monotonic: deadlines are in it."""
    wall: float
    """Since the epoch: timestamps are in it."""


class PodNetwork(enum.Enum):
    """Where the tasks of a task group meet."""

    SHARED = "in the network of one infra container"
    SEPARATE = "each container has an address of its own; they do not share localhost"


class Entropy(Protocol):
    """The core's source of randomness; a seeded one in simulations."""

    def uuid(self) -> bytes:
        """16 bytes of a random (version 4) UUID."""

    def uniform(self, limit: float) -> float:
        """A number in [0, limit]."""


_RESOURCE_VERSION = uuid.UUID(int=0, version=4).bytes


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """What the core needs of the configuration. Times in seconds."""

    pid: Pid
    info: SlaveInfo
    """The agent as it registers, without its id."""
    version: str
    """The Mesos version that the agent reports."""
    authenticate: bool = False
    registration_backoff: float = 1.0
    authentication_backoff: float = 1.0
    shutdown_grace: float = 5.0
    stop_timeout: float = 0.0
    remove_delay: float = 0.0
    cleanup: bool = False
    """``--recover=cleanup``: end all tasks and containers of an earlier process, then exit."""
    kill_orphans: bool = True
    has_default_container: bool = False
    """``--default_container_info``: an executor without a container or an image has one."""
    executor_registration_timeout: float = 60.0
    """From the start of an executor's container."""
    executor_reregistration_timeout: float = 20.0
    fixed_size: bool = False
    """A container keeps the size that it was created with, as on Triton."""
    pod_network: PodNetwork | None = None
    """None: task groups are rejected, with the text :attr:`pods_refused`."""
    pods_refused: str = (
        "TaskInfo in a task group: this agent has no host to run a group's executor on; "
        "launch its tasks one by one"
    )
    launch_problem: Callable[[Launch], str | None] = lambda launch: None
    """Pure: what the endpoint cannot do of a launch, with the name of the field; None: nothing."""
    max_task_bytes: int | None = None
    """The largest TaskInfo that the journal takes; None: any."""
    shim_id: str = ""
    """On all containers and volumes of this agent."""
    resource_version: bytes = _RESOURCE_VERSION
    """16 bytes of a UUID, another one at each start."""
    resizes_volumes: bool = False
    """Persistent volumes have no size of their own at the endpoint: GROW_VOLUME has no effect."""
    engine_ip: str | None = None
    """Address of the engine's host, reported for containers without an address of their own."""

    @property
    def capabilities(self) -> tuple[SlaveInfo.Capability.Type.ValueType, ...]:
        """Those that the agent announces."""
        return AGENT_CAPABILITIES + ((RESIZE_VOLUME,) if self.resizes_volumes else ())


@dataclass(slots=True)
class Decision:
    """What one fact led to: ``orders`` wait until ``records`` are durable."""

    records: list[Record] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)


class Context:
    """One per core. Its parts read the shared state here and add to the decision under way."""

    def __init__(self, settings: CoreSettings, entropy: Entropy, now: Now) -> None:
        self.settings = settings
        self.entropy = entropy
        self.now = now
        self.timers = Timers()
        self.counters: Counter[str] = Counter()
        """Event counts by kind, for the metric ``oddities``."""
        self.agent_id: AgentId | None = None
        self.master: Pid | None = None
        self.connected = False
        """Registered with ``master``: status updates may be sent."""
        self._decision = Decision()

    def record(self, record: Record) -> None:
        self._decision.records.append(record)

    def order(self, order: Order) -> None:
        self._decision.orders.append(order)

    def notice(self, level: Level, text: str) -> None:
        """A line for the agent's log."""
        self.order(Notice(level, text))

    def take(self) -> Decision:
        """The decision since the last call."""
        decision, self._decision = self._decision, Decision()
        return decision
