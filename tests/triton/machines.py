"""A machine: the datacenter's record of one container, and its share of the bill."""

from __future__ import annotations

import asyncio
import enum
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.triton.packages import Package


class State(enum.Enum):
    PROVISIONING = "provisioning"
    STOPPED = "stopped"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILED = "failed"
    DESTROYED = "destroyed"


INVISIBLE = frozenset({State.FAILED, State.DESTROYED})


@dataclass(slots=True, eq=False)
class Machine:
    name: str
    account: str
    body: dict[str, Any]
    """The create body, without its affinity entries and package label."""
    package: Package
    server: int = 0
    number: int = 0
    """How many machines were created before it, so unique."""
    labels: dict[str, str] = field(default_factory=dict)
    uuid: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: State = State.PROVISIONING
    created: float = field(default_factory=time.time)
    provisioned: float | None = None
    """When provisioning ended. From then on the time since its creation is billed."""
    paid_until: float | None = None
    started: float | None = None
    finished: float | None = None
    exit_code: int | None = None
    restarts: int = 0
    stopped_by_call: bool = False
    """Its restart policy does not start it again."""
    down: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""
    next_size: tuple[int, int] | None = None
    """Of its terminal: rows and columns, which wait for input."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """That its terminal was given."""

    @property
    def id(self) -> str:
        return self.uuid + self.uuid[::-1]

    @property
    def shown_id(self) -> str:
        return self.uuid if self.state is State.PROVISIONING else self.id

    @property
    def mac(self) -> str:
        return "90:b8:d0:" + ":".join(f"{b:02x}" for b in self.number.to_bytes(3, "big"))

    @property
    def host_config(self) -> dict[str, Any]:
        host_config: dict[str, Any] = self.body["HostConfig"]
        return host_config

    @property
    def tty(self) -> bool:
        return bool(self.body.get("Tty"))

    @property
    def command(self) -> list[str]:
        return [*(self.body.get("Entrypoint") or []), *(self.body.get("Cmd") or [])]

    @property
    def restart_policy(self) -> str:
        """``always``, ``on-failure`` or empty: Triton takes any other value for empty, silently."""
        policy = self.host_config.get("RestartPolicy") or {}
        name = policy.get("Name", "")
        return name if name in ("always", "on-failure") else ""

    @property
    def published(self) -> dict[str, int]:
        bindings = self.host_config.get("PortBindings") or {}
        return {key: int(key.partition("/")[0]) for key in bindings}

    @property
    def exposed(self) -> list[str]:
        return sorted({*(self.body.get("ExposedPorts") or {}), *self.published})

    def environment(self, name: str) -> str | None:
        entries: list[str] = self.body.get("Env") or []
        for entry in entries:
            key, _, value = entry.partition("=")
            if key == name:
                return value
        return None

    def lends_volumes_to(self, other: Machine) -> bool:
        """Whether the VolumesFrom of ``other`` names this machine, with or without ``:ro``."""
        lenders = {each.partition(":")[0] for each in other.host_config.get("VolumesFrom") or []}
        return self.account == other.account and bool(lenders & {self.name, self.id})

    @property
    def volumes(self) -> set[str]:
        """The NFS volumes that it mounts."""
        return {bind.partition(":")[0] for bind in self.host_config.get("Binds") or []}

    def seconds(self, now: float) -> float:
        """Machine-seconds billed until ``now``."""
        if self.provisioned is None:
            return 0.0
        return (self.paid_until or now) - self.created
