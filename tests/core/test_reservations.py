"""Which reserved resources and volumes of a task the agent does not know."""

from __future__ import annotations

import pytest

from shim.core.reservations import missing
from shim.protos.mesos_pb2 import Resource, Value


def cpus(amount: float, *, principal: str | None = None, role: str = "prod") -> Resource:
    resource = Resource(name="cpus", type=Value.SCALAR, role=role)
    resource.scalar.value = amount
    if principal is not None:
        resource.reservation.principal = principal
    return resource


def volume(name: str) -> Resource:
    resource = Resource(name="disk", type=Value.SCALAR, role="prod")
    resource.scalar.value = 10.0
    resource.disk.persistence.id = name
    return resource


def ports(begin: int, end: int) -> Resource:
    resource = Resource(name="ports", type=Value.RANGES, role="prod")
    resource.ranges.range.add(begin=begin, end=end)
    resource.reservation.principal = "p"
    return resource


def test_statically_reserved_resources_are_never_missing() -> None:
    assert missing([cpus(5.0)], []) == []


@pytest.mark.parametrize(("wanted", "count"), [(1.0, 0), (2.0, 0), (2.001, 1), (2.0001, 0)])
def test_amounts_count_in_thousandths(wanted: float, count: int) -> None:
    assert len(missing([cpus(wanted, principal="p")], [cpus(2.0, principal="p")])) == count


def test_several_parts_use_one_reservation_up() -> None:
    part = cpus(1.0, principal="p")
    known = [cpus(2.5, principal="p")]
    assert missing([part, part], known) == []
    assert len(missing([part, part, part], known)) == 1


def test_another_principal_or_role_is_another_reservation() -> None:
    known = [cpus(2.0, principal="p")]
    assert len(missing([cpus(1.0, principal="q")], known)) == 1
    assert len(missing([cpus(1.0, principal="p", role="dev")], known)) == 1


def test_allocation_does_not_matter() -> None:
    allocated = cpus(1.0, principal="p")
    allocated.allocation_info.role = "prod"
    assert missing([allocated], [cpus(1.0, principal="p")]) == []


def test_volumes_differ_by_their_id() -> None:
    assert missing([volume("v")], [volume("v")]) == []
    assert len(missing([volume("w")], [volume("v")])) == 1


def test_ranges_may_be_reserved_in_parts() -> None:
    assert missing([ports(1, 9)], [ports(1, 9)]) == []
    assert missing([ports(2, 3)], [ports(1, 4), ports(5, 9)]) == []
    assert missing([ports(4, 5)], [ports(1, 4), ports(5, 9)]) == []
    assert len(missing([ports(1, 10)], [ports(1, 9)])) == 1


def test_a_resource_that_no_master_sends_is_missing() -> None:
    odd = cpus(1.0, principal="p")
    odd.type = Value.RANGES
    assert missing([odd], [odd]) == [odd]
    assert len(missing([cpus(1.0, principal="p")], [odd])) == 1
