"""Packages: the fixed sizes of machines, of which each container gets one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.triton.api_errors import ApiError, docker_error

LABEL = "com.joyent.package"
DEFAULT_MIB = 1024


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    memory_mib: int
    price: float
    """Per hour, in no currency."""

    @property
    def uuid(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, self.name))


DEFAULT_PACKAGES = (
    Package("sample-128M", 128, 0.003),
    Package("sample-256M", 256, 0.006),
    Package("sample-512M", 512, 0.012),
    Package("sample-1G", 1024, 0.024),
    Package("sample-2G", 2048, 0.048),
    Package("sample-4G", 4096, 0.096),
    Package("special-64G", 65536, 2.0),
)


def choose(
    packages: Sequence[Package], memory: int, labels: Mapping[str, str], prefix: str = "sample-"
) -> Package:
    """The package a create gets: the label's, else the smallest that holds ``memory`` bytes."""
    if LABEL in labels:
        return _named(packages, labels[LABEL])
    if not packages:
        raise docker_error("no packages match parameters")
    mib = -(-memory // 2**20) or DEFAULT_MIB
    fitting = [p for p in packages if p.name.startswith(prefix) and p.memory_mib >= mib]
    if not fitting:
        raise _none(f"memory={_short(mib)}")
    return min(fitting, key=lambda p: p.memory_mib)


def _named(packages: Sequence[Package], wanted: str) -> Package:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", wanted):
        raise docker_error(f"invalid value for {LABEL}: {wanted}")
    by_name = [p for p in packages if p.name == wanted]
    by_id = [p for p in packages if p.uuid == wanted or p.uuid[:8] == wanted]
    found = by_name or by_id
    if len(found) != 1:
        raise _none(f"{LABEL}={wanted}")
    return found[0]


def _none(constraint: str) -> ApiError:
    message = f"no package supports the given container constraints: {constraint}"
    return ApiError(422, message, "NoSufficientPackage")


def _short(mib: int) -> str:
    return f"{mib // 1024}g" if mib % 1024 == 0 else f"{mib}m"
