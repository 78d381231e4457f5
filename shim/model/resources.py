"""What a ``mesos.Resource`` says of itself, in both formats of reservations. Pure.

Masters write one reservation as ``role`` and ``reservation``, or any number of them, the inner
ones refining the outer, as ``reservations``.
"""

from __future__ import annotations

from collections.abc import Iterable

from shim.protos.mesos_pb2 import Resource

Spans = tuple[tuple[int, int], ...]
"""Ranges, both ends included."""


def role_of(resource: Resource) -> str:
    """The role it is reserved for; ``*`` when it is not."""
    if resource.reservations:
        return resource.reservations[-1].role
    return resource.role or "*"


def is_checkpointed(resource: Resource) -> bool:
    """Whether a master only hands it out after having the agent write it down: a dynamic
    reservation, or a persistent volume."""
    dynamic = resource.HasField("reservation") or any(
        entry.type == Resource.ReservationInfo.DYNAMIC for entry in resource.reservations
    )
    return dynamic or resource.disk.HasField("persistence")


def joined(spans: Iterable[tuple[int, int]]) -> Spans:
    """Sorted, with neighbours put together: [3-4] and [1-2] are [1-4]."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return tuple(found)
