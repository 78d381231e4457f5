"""Dynamic reservations and persistent volumes: which of a task's resources need one we know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from shim.model.resources import is_checkpointed
from shim.protos.mesos_pb2 import Resource


def unknown(wanted: Iterable[Resource], known: Iterable[Resource]) -> list[Resource]:
    """Those of ``wanted`` that are reserved, or volumes, beyond what ``known`` holds."""
    have: dict[bytes, float] = defaultdict(float)
    for resource in known:
        have[_identity(resource)] += _amount(resource)
    missing = []
    for resource in filter(is_checkpointed, wanted):
        identity = _identity(resource)
        have[identity] -= _amount(resource)
        if have[identity] < -0.0005:
            missing.append(resource)
    return missing


def _identity(resource: Resource) -> bytes:
    """What two resources must share to be of the same kind: all but the amount and allocation."""
    bare = Resource()
    bare.CopyFrom(resource)
    bare.ClearField("allocation_info")
    if bare.HasField("scalar"):
        bare.scalar.value = 0.0
    return bare.SerializeToString(deterministic=True)


def _amount(resource: Resource) -> float:
    """Scalars count; anything else is there once."""
    return resource.scalar.value if resource.HasField("scalar") else 1.0
