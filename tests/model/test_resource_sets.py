from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.model.resource_sets import (
    InvalidResource,
    Resources,
    downgraded,
    upgraded,
    without_dynamic,
)
from shim.model.resources import is_checkpointed
from shim.protos import mesos_pb2 as mesos
from tests.dev.master.fake_agent import scalar

STATIC = mesos.Resource.ReservationInfo.STATIC
DYNAMIC = mesos.Resource.ReservationInfo.DYNAMIC


def ports(*spans: tuple[int, int]) -> mesos.Resource:
    resource = mesos.Resource(name="ports", type=mesos.Value.RANGES, role="*")
    resource.ranges.SetInParent()
    for begin, end in spans:
        resource.ranges.range.add(begin=begin, end=end)
    return resource


def items(*names: str) -> mesos.Resource:
    resource = mesos.Resource(name="zones", type=mesos.Value.SET, role="*")
    resource.set.item.extend(names)
    return resource


def volume(size: float = 10.0) -> mesos.Resource:
    resource = scalar("disk", size)
    resource.role = "web"
    resource.reservation.principal = "ops"
    resource.disk.persistence.id = "v1"
    resource.disk.volume.container_path = "data"
    resource.disk.volume.mode = mesos.Volume.RW
    return resource


amounts = st.integers(1, 10_000).map(lambda n: n / 1000)
spans = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 8)), min_size=1, max_size=4).map(
    lambda pairs: Resources.of(_apart(pairs))
)


def _apart(pairs: list[tuple[int, int]]) -> list[mesos.Resource]:
    return [ports((begin, begin + length)) for begin, length in pairs]


bags = st.one_of(
    st.builds(lambda c, m: Resources.of([scalar("cpus", c), scalar("mem", m)]), amounts, amounts),
    spans,
)


@given(bags, bags)
def test_a_sum_contains_both_summands(a: Resources, b: Resources) -> None:
    assert (a + b).contains(a)
    assert (a + b).contains(b)


@given(amounts, amounts)
def test_addition_and_subtraction_are_exact(a: float, b: float) -> None:
    one, other = Resources.of([scalar("cpus", a)]), Resources.of([scalar("cpus", b)])
    assert (one + other) - other == one
    assert one - one == Resources()


@given(spans, spans)
def test_subtraction_keeps_the_other_ranges(a: Resources, b: Resources) -> None:
    rest = a - b
    assert a.contains(rest)
    assert _numbers(rest) == _numbers(a) - _numbers(b)


def _numbers(resources: Resources) -> set[int]:
    spans = [s for r in resources.resources() for s in r.ranges.range]
    return {n for span in spans for n in range(span.begin, span.end + 1)}


def test_three_decimals_are_exact() -> None:
    resources = Resources.of([scalar("cpus", 64)])
    for _ in range(3):
        resources -= Resources.of([scalar("cpus", 0.1)])
    (left,) = resources.resources()
    assert left.scalar.value == 63.7


def test_adjacent_ranges_are_joined() -> None:
    (resource,) = Resources.of([ports((1, 2)), ports((3, 4))]).resources()
    assert [(r.begin, r.end) for r in resource.ranges.range] == [(1, 4)]


def test_sets_are_subtracted_item_by_item() -> None:
    left = Resources.of([items("a", "b", "c")]) - Resources.of([items("b")])
    assert left == Resources.of([items("a", "c")])


def test_reserved_and_unreserved_resources_differ() -> None:
    web = scalar("cpus", 1)
    web.role = "web"
    assert not Resources.of([scalar("cpus", 4)]).contains(Resources.of([web]))
    assert Resources.of([web]).for_roles(frozenset({"db"})) == Resources()
    assert Resources.of([web]).for_roles(frozenset({"web"})) == Resources.of([web])


@pytest.mark.parametrize("resource", [scalar("cpus", 1), volume(), ports((1, 2))])
def test_both_formats_are_equivalent(resource: mesos.Resource) -> None:
    new = upgraded(resource)
    assert not new.HasField("role")
    assert downgraded(new) == resource
    assert Resources.of([new]) == Resources.of([resource])


def test_a_static_role_becomes_a_reservation() -> None:
    resource = scalar("cpus", 1)
    resource.role = "web"
    (reservation,) = upgraded(resource).reservations
    assert (reservation.role, reservation.type) == ("web", STATIC)


def test_a_refined_reservation_has_no_old_format() -> None:
    resource = upgraded(scalar("cpus", 1))
    resource.reservations.add(role="a", type=STATIC)
    resource.reservations.add(role="a/b", type=DYNAMIC)
    with pytest.raises(InvalidResource, match="refined"):
        downgraded(resource)
    assert not Resources.of([resource]).without_refined()


def test_a_volume_without_its_persistence_is_plain_disk() -> None:
    assert is_checkpointed(volume())
    assert not is_checkpointed(scalar("disk", 1))
    assert Resources.of([without_dynamic(volume())]) == Resources.of([scalar("disk", 10)])


def bad(**fields: object) -> mesos.Resource:
    resource = scalar("cpus", 1)
    for name, value in fields.items():
        if value is None:
            resource.ClearField(name)  # type: ignore[arg-type]
        else:
            setattr(resource, name, value)
    return resource


def with_disk() -> mesos.Resource:
    resource = scalar("cpus", 1)
    resource.disk.persistence.id = "v"
    return resource


def with_reservation() -> mesos.Resource:
    resource = scalar("cpus", 1)
    resource.reservation.principal = "p"
    return resource


@pytest.mark.parametrize(
    ("resource", "word"),
    [
        (bad(name=""), "name"),
        (bad(scalar=None), "type and value"),
        (bad(type=mesos.Value.RANGES), "type and value"),
        (scalar("cpus", -1), "-1"),
        (scalar("cpus", 0.0001), "0.0001"),
        (scalar("cpus", float("nan")), "nan"),
        (ports((3, 1)), "before"),
        (ports((1, 3), (2, 4)), "overlap"),
        (with_disk(), "disk"),
        (with_reservation(), "role"),
    ],
)
def test_invalid_resources_are_errors_with_a_reason(resource: mesos.Resource, word: str) -> None:
    with pytest.raises(InvalidResource, match=word):
        Resources.of([resource])


def test_resources_as_text() -> None:
    web = scalar("mem", 5)
    web.role = "web"
    resources = Resources.of([scalar("cpus", 0.5), web, ports((1, 2), (9, 9))])
    assert str(resources) == "cpus:0.5; mem(web):5; ports:[1-2, 9-9]"
    assert str(Resources()) == "nothing"


def test_a_volume_is_the_same_wherever_it_is_mounted() -> None:
    mounted, read_only = volume(), volume()
    mounted.disk.volume.container_path = "/elsewhere"
    mounted.disk.persistence.principal = "another"
    read_only.disk.volume.mode = mesos.Volume.RO
    assert Resources.of([volume()]) == Resources.of([mounted]) == Resources.of([read_only])
    (kept,) = Resources.of([mounted]).resources()
    assert kept.disk.volume.container_path == "/elsewhere"


def test_volumes_differ_by_id_and_shared_ones_by_size() -> None:
    other = volume()
    other.disk.persistence.id = "v2"
    assert not Resources.of([volume()]).contains(Resources.of([other]))
    small, large = volume(10.0), volume(20.0)
    small.shared.SetInParent()
    large.shared.SetInParent()
    assert not Resources.of([large]).contains(Resources.of([small]))


def test_two_copies_of_a_shared_volume_are_one() -> None:
    shared = volume()
    shared.shared.SetInParent()
    one, two = Resources.of([shared]), Resources.of([shared, shared])
    assert one == two == one + one
    assert one.contains(two)
    assert one.exclusive() == Resources()
    assert Resources.of([volume()]).exclusive() == Resources.of([volume()])


def test_a_volume_is_named_in_texts() -> None:
    assert str(Resources.of([volume()])) == "disk(web)[v1]:10"
