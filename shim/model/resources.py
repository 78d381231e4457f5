"""Properties of a ``mesos.Resource``, in both formats of reservations. Pure.

The older format has one reservation in the fields ``role`` and ``reservation``. The newer format
has a list ``reservations``, where each entry refines the one before.
"""

from __future__ import annotations

from collections.abc import Iterable

from shim.protos.mesos_pb2 import Resource

Spans = tuple[tuple[int, int], ...]
"""Ranges, both ends included."""


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
