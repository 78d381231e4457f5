"""A named volume of the endpoint: a directory that containers share, or that outlives them.

The same for Docker and Triton. Docker keeps labels of volumes. Triton does not, so there a volume
is known by its name, which begins with the owner's prefix. The name of a persistent volume of Mesos
differs from all others, so that nothing else is taken for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from shim.model.container import LABEL_SHIM

_OWNER_DIGITS, _DIGITS = 12, 40
"""Hexadecimal digits of the owner's prefix, and of the rest of a name."""


LABEL_ROLE = "org.apache.mesos.role"
LABEL_PERSISTENCE_ID = "org.apache.mesos.persistence_id"
_PERSISTENT = "p-"


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume to be made, or as it is listed. Lists omit the options, and on Triton the labels."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    driver: str = ""
    """Empty: the endpoint's own, ``local`` or ``tritonnfs``."""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str | None:
        """The id of the shim that made it, from its label."""
        return self.labels.get(LABEL_SHIM)


def volume_prefix(shim_id: str) -> str:
    """The beginning of the names of this shim's volumes."""
    return f"mesos-{_digest(shim_id)[:_OWNER_DIGITS]}-"


def volume_name(shim_id: str, *parts: str) -> str:
    """The name of the volume that ``parts`` identify: lower case, 59 characters, no other's name.

    It depends on nothing else, so a call about the volume may be repeated after a restart.
    """
    return volume_prefix(shim_id) + _digest(*parts)[:_DIGITS]


def persistent_volume_name(shim_id: str, role: str, persistence_id: str, generation: int) -> str:
    """The name of a persistent volume: lower case, 61 characters, no other's name.

    ``generation`` is 0, or tells a volume from an earlier one of the same id that is still being
    removed.
    """
    parts = [role, persistence_id] + ([str(generation)] if generation else [])
    return f"{volume_prefix(shim_id)}{_PERSISTENT}{_digest(*parts)[:_DIGITS]}"


def is_persistent(name: str, shim_id: str) -> bool:
    """Whether the name is that of a persistent volume of this shim."""
    return name.startswith(f"{volume_prefix(shim_id)}{_PERSISTENT}")


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A persistent volume in a container."""

    name: str
    role: str
    persistence_id: str
    size_mb: float
    container_path: str
    """As the task asks for it: absolute, or below the sandbox."""
    read_only: bool = False
    in_use: bool = False
    """Another container may mount it already: its owner is not changed."""


def _digest(*parts: str) -> str:
    # Each part with its length: ("a", "bc") and ("ab", "c") are two volumes.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
