"""What an operator sets in a datacenter, and what tests set to save time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.triton.api_errors import ApiError
from tests.triton.packages import DEFAULT_PACKAGES, Package

FABRICS = {"My-Fabric-Network": "fabric", "My-Other-Network": "fabric", "external": "external"}


@dataclass(slots=True)
class Options:
    """Options of a datacenter. Each may be changed while it runs."""

    datacenter: str = "test-1"
    provision_seconds: float = 0.0
    provision_when: asyncio.Event | None = None
    """Provisioning ends no earlier than this event is set."""
    stopping_seconds: float = 0.0
    """How long a machine is neither running nor stopped after its process ended."""
    stopped_when: asyncio.Event | None = None
    """A machine whose process ended is stopped no earlier than this event is set."""
    idle_seconds: float = 120.0
    """A call without an answer for so long is cut off; long calls have limits of their own."""
    volumes: bool = False
    automount: bool = False
    """Whether a create makes the volumes it binds that do not exist, with default options."""
    volume_seconds: float = 0.0
    archive_when_stopped: bool = True
    """Whether files of a stopped container can be copied: old platforms cannot."""
    log_drivers: frozenset[str] = frozenset({"json-file"})
    packages: tuple[Package, ...] = DEFAULT_PACKAGES
    networks: Mapping[str, str] = field(default_factory=lambda: dict(FABRICS))
    servers: int = 4
    vmapi_status: int = 409
    """The status that VMAPI sends for a duplicate name; another version may send 422."""
    fail_provisions: deque[ApiError] = field(default_factory=deque)
    """The next provisionings fail with these errors."""
    maintenance: str = ""
    """The operator's text. While it is not empty, every call but GET is refused with it."""
    maintenance_until: float | None = None
    error_rate: float = 0.0
    """Share of calls answered 500 without a code."""
    log_rotate_lines: int = 0
    """Rotate the log after so many lines: only later ones can be read. 0: never."""
