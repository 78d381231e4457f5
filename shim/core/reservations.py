"""Dynamic reservations and persistent volumes: whether the agent knows those that a task uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from shim.model.resources import is_checkpointed
from shim.protos.mesos_pb2 import Resource

_TOLERANCE = 0.0005
"""Mesos counts scalars in thousandths."""


def missing(wanted: Iterable[Resource], known: Iterable[Resource]) -> list[Resource]:
    """The reserved resources and volumes of ``wanted`` that ``known`` does not hold."""
    left: dict[bytes, float] = defaultdict(float)
    for resource in known:
        left[_identity(resource)] += _amount(resource)
    missing = []
    for resource in filter(is_checkpointed, wanted):
        identity = _identity(resource)
        left[identity] -= _amount(resource)
        if left[identity] < -_TOLERANCE:
            missing.append(resource)
    return missing


def _identity(resource: Resource) -> bytes:
    """Everything but the amount and the allocation: resources of equal identity add up."""
    bare = Resource()
    bare.CopyFrom(resource)
    bare.ClearField("allocation_info")
    if bare.HasField("scalar"):
        bare.scalar.value = 0.0
    return bare.SerializeToString(deterministic=True)


def _amount(resource: Resource) -> float:
    """A scalar's value; 1 for any other resource."""
    return resource.scalar.value if resource.HasField("scalar") else 1.0
