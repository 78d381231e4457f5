from __future__ import annotations

import pytest

from shim.model.resources import is_checkpointed, joined, role_of
from shim.protos.mesos_pb2 import Resource, Value

STATIC, DYNAMIC = Resource.ReservationInfo.STATIC, Resource.ReservationInfo.DYNAMIC


def old(role: str | None = None, *, reserved: bool = False, volume: bool = False) -> Resource:
    """In the format with ``role``."""
    resource = Resource(name="disk", type=Value.SCALAR, role=role)
    if reserved:
        resource.reservation.principal = "p"
    if volume:
        resource.disk.persistence.id = "v"
    return resource


def new(*reservations: tuple[str, Resource.ReservationInfo.Type.ValueType]) -> Resource:
    """In the format with ``reservations``."""
    resource = Resource(name="disk", type=Value.SCALAR)
    for role, kind in reservations:
        resource.reservations.add(role=role, type=kind)
    return resource


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (old(), False),
        (old("prod"), False),
        (old("prod", reserved=True), True),
        (old("prod", volume=True), True),
        (new(), False),
        (new(("prod", STATIC)), False),
        (new(("prod", DYNAMIC)), True),
        (new(("prod", STATIC), ("prod/db", DYNAMIC)), True),
    ],
)
def test_what_is_checkpointed(resource: Resource, expected: bool) -> None:
    assert is_checkpointed(resource) is expected


@pytest.mark.parametrize(
    ("resource", "role"),
    [
        (old(), "*"),
        (old(""), "*"),
        (old("prod", reserved=True), "prod"),
        (new(), "*"),
        (new(("prod", STATIC), ("prod/db", DYNAMIC)), "prod/db"),
    ],
)
def test_the_innermost_reservation_tells_the_role(resource: Resource, role: str) -> None:
    assert role_of(resource) == role


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], ()),
        ([(5, 5)], ((5, 5),)),
        ([(3, 4), (1, 2)], ((1, 4),)),
        ([(1, 2), (4, 5)], ((1, 2), (4, 5))),
        ([(1, 9), (2, 3)], ((1, 9),)),
        ([(1, 3), (2, 7), (9, 9)], ((1, 7), (9, 9))),
    ],
)
def test_neighbours_are_put_together(
    spans: list[tuple[int, int]], expected: tuple[tuple[int, int], ...]
) -> None:
    assert joined(spans) == expected
