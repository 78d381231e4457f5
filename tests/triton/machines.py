"""A machine: what the datacenter knows of one container, and what it charges for."""

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
    """The create body, without what was consumed."""
    package: Package
    server: int = 0
    number: int = 0
    """How many were placed before it: no other machine has this number."""
    labels: dict[str, str] = field(default_factory=dict)
    uuid: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: State = State.PROVISIONING
    created: float = field(default_factory=time.time)
    provisioned: float | None = None
    """When: running or not, the customer pays for it from its creation on, once it is there."""
    paid_until: float | None = None
    started: float | None = None
    finished: float | None = None
    exit_code: int | None = None
    restarts: int = 0
    held_down: bool = False
    """Stopped by a call: its restart policy does not bring it back."""
    down: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""

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
        return self.body["HostConfig"]

    @property
    def tty(self) -> bool:
        return bool(self.body.get("Tty"))

    @property
    def command(self) -> list[str]:
        return [*(self.body.get("Entrypoint") or []), *(self.body.get("Cmd") or [])]

    @property
    def restart_policy(self) -> str:
        """``always``, ``on-failure`` or empty: anything else means none, silently."""
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
        for entry in self.body.get("Env") or []:
            key, _, value = entry.partition("=")
            if key == name:
                return value
        return None

    def lends_volumes_to(self, other: Machine) -> bool:
        """Whether ``other`` names it, with or without ``:ro``, in its VolumesFrom."""
        lenders = {each.partition(":")[0] for each in other.host_config.get("VolumesFrom") or []}
        return self.account == other.account and bool(lenders & {self.name, self.id})

    def seconds(self, now: float) -> float:
        """Machine-seconds to be paid so far."""
        if self.provisioned is None:
            return 0.0
        return (self.paid_until or now) - self.created
