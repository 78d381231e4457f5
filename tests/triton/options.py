"""What an operator, or a test in a hurry, can turn on a datacenter."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.triton.packages import DEFAULT_PACKAGES, Package
from tests.triton.refusals import Refusal

FABRICS = {"My-Fabric-Network": "fabric", "My-Other-Network": "fabric", "external": "external"}


@dataclass(slots=True)
class Options:
    """The knobs of a datacenter; any may be turned while it runs."""

    datacenter: str = "test-1"
    provision_seconds: float = 0.0
    stopping_seconds: float = 0.0
    """How long a machine whose process ended is neither running nor stopped."""
    idle_seconds: float = 120.0
    """Every call but the long ones is cut off after so long, without an answer."""
    volumes: bool = False
    automount: bool = False
    """With them: a volume that a create binds and nobody made is made, with defaults."""
    volume_seconds: float = 0.0
    archive_when_stopped: bool = True
    """Whether the platform can move files of a stopped container; old ones cannot."""
    log_drivers: frozenset[str] = frozenset({"json-file"})
    packages: tuple[Package, ...] = DEFAULT_PACKAGES
    networks: Mapping[str, str] = field(default_factory=lambda: dict(FABRICS))
    servers: int = 4
    vmapi_status: int = 409
    """What VMAPI sends for a duplicate name; 422 is as good."""
    fail_provisions: deque[Refusal] = field(default_factory=deque)
    """With these the next provisionings fail."""
    maintenance: str = ""
    """The operator's text; every call but GET is refused while it is not empty."""
    maintenance_until: float | None = None
    error_rate: float = 0.0
    """Share of calls answered 500 without a code."""
    log_rotate_lines: int = 0
    """Only what came after the last rotation can be read; 0: never rotated."""
