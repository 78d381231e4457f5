"""What the parts of the core share: settings, clock, chance, and where decisions collect."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from shim.core.timers import Timers
from shim.model.ids import AgentId, Pid
from shim.model.orders import Level, Notice, Order
from shim.model.records import Record
from shim.protos.mesos_pb2 import SlaveInfo


class Now(NamedTuple):
    """One reading of both clocks, in seconds."""

    mono: float
    """Never goes back; deadlines are in it."""
    wall: float
    """Since the epoch; timestamps are in it."""


class Entropy(Protocol):
    """Where the core takes chance from (a seed in simulations)."""

    def uuid(self) -> bytes:
        """16 bytes of a random (version 4) UUID."""

    def uniform(self, limit: float) -> float:
        """A number in [0, limit]."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the core must know of the configuration. Times in seconds."""

    pid: Pid
    info: SlaveInfo
    """As at registration: without id."""
    version: str
    authenticate: bool = False
    registration_backoff: float = 1.0
    authentication_backoff: float = 1.0
    shutdown_grace: float = 5.0
    stop_timeout: float = 0.0
    remove_delay: float = 0.0
    cleanup: bool = False
    """``--recover=cleanup``: end everything of an earlier life instead of taking it over."""
    kill_orphans: bool = True
    engine_ip: str | None = None
    """Address of the engine's host, reported for containers without one of their own."""


@dataclass(slots=True)
class Decision:
    """What one fact led to: ``orders`` wait until ``records`` are durable."""

    records: list[Record] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)


class Context:
    def __init__(self, settings: Settings, entropy: Entropy, now: Now) -> None:
        self.settings = settings
        self.entropy = entropy
        self.now = now
        self.timers = Timers()
        self.counters: Counter[str] = Counter()
        self.agent_id: AgentId | None = None
        self.master: Pid | None = None
        self.connected = False
        """Registered with ``master``: updates may flow."""
        self._decision = Decision()

    def record(self, record: Record) -> None:
        self._decision.records.append(record)

    def order(self, order: Order) -> None:
        self._decision.orders.append(order)

    def notice(self, level: Level, text: str) -> None:
        self.order(Notice(level, text))

    def take(self) -> Decision:
        """What has collected since the last call."""
        decision, self._decision = self._decision, Decision()
        return decision
