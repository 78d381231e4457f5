"""Properties of a ``mesos.Resource``, in both formats of reservations. Pure.

The older format has one reservation in the fields ``role`` and ``reservation``. The newer format
has a list ``reservations``, where each entry refines the one before.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from shim.protos.mesos_pb2 import Resource, Value

Spans = tuple[tuple[int, int], ...]
"""Ranges, both ends included."""


THOUSAND = 1000
_LARGEST = 1e15
"""Beyond this a double does not hold thousandths."""


def thousandths(value: float) -> int | None:
    """A scalar in thousandths, the precision of Mesos. None for NaN, infinities and overflow."""
    return round(value * THOUSAND) if abs(value) < _LARGEST else None


def value_field(resource: Resource) -> str:
    """The name of the field that ``resource.type`` asks for: scalar, ranges, set, ..."""
    return Value.Type.Name(resource.type).lower()


def value_fields(resource: Resource) -> list[str]:
    """The names of the value fields that are set; a valid resource has only one."""
    return [field for field in ("scalar", "ranges", "set") if resource.HasField(field)]


def ranges_of(resources: Iterable[Resource]) -> list[tuple[int, int]]:
    """All ranges of these resources, sorted, as given."""
    return sorted((r.begin, r.end) for resource in resources for r in resource.ranges.range)


def overlap(spans: Iterable[tuple[int, int]]) -> bool:
    """Whether two of the sorted ranges share a number."""
    return any(after[0] <= before[1] for before, after in pairwise(spans))


def role_of(resource: Resource) -> str:
    """The role that the resource is reserved for; ``*`` when it is unreserved."""
    if resource.reservations:
        return resource.reservations[-1].role
    return resource.role or "*"


def is_checkpointed(resource: Resource) -> bool:
    """Whether the resource is a dynamic reservation or a persistent volume.

    A master has the agent checkpoint such a resource before it offers it.
    """
    dynamic = resource.HasField("reservation") or any(
        entry.type == Resource.ReservationInfo.DYNAMIC for entry in resource.reservations
    )
    return dynamic or resource.disk.HasField("persistence")


def joined(spans: Iterable[tuple[int, int]]) -> Spans:
    """Sorted, with adjacent and overlapping ranges merged: [3-4] and [1-2] are [1-4]."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return tuple(found)
