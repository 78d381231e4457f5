from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.dev.master.resources import (
    Bag,
    InvalidResource,
    downgraded,
    is_dynamic,
    stripped,
    upgraded,
)
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
    lambda pairs: Bag.of(_apart(pairs))
)


def _apart(pairs: list[tuple[int, int]]) -> list[mesos.Resource]:
    return [ports((begin, begin + length)) for begin, length in pairs]


bags = st.one_of(
    st.builds(lambda c, m: Bag.of([scalar("cpus", c), scalar("mem", m)]), amounts, amounts),
    spans,
)


@given(bags, bags)
def test_what_is_added_covers_both(a: Bag, b: Bag) -> None:
    assert (a + b).covers(a)
    assert (a + b).covers(b)


@given(amounts, amounts)
def test_adding_and_taking_away_is_exact(a: float, b: float) -> None:
    one, other = Bag.of([scalar("cpus", a)]), Bag.of([scalar("cpus", b)])
    assert (one + other) - other == one
    assert one - one == Bag()


@given(spans, spans)
def test_ranges_keep_what_was_not_taken(a: Bag, b: Bag) -> None:
    rest = a - b
    assert a.covers(rest)
    assert _numbers(rest) == _numbers(a) - _numbers(b)


def _numbers(bag: Bag) -> set[int]:
    spans = [s for r in bag.resources() for s in r.ranges.range]
    return {n for span in spans for n in range(span.begin, span.end + 1)}


def test_three_decimals_are_kept_without_noise() -> None:
    bag = Bag.of([scalar("cpus", 64)])
    for _ in range(3):
        bag -= Bag.of([scalar("cpus", 0.1)])
    (left,) = bag.resources()
    assert left.scalar.value == 63.7


def test_neighbouring_ranges_become_one() -> None:
    (resource,) = Bag.of([ports((1, 2)), ports((3, 4))]).resources()
    assert [(r.begin, r.end) for r in resource.ranges.range] == [(1, 4)]


def test_sets_are_taken_item_by_item() -> None:
    left = Bag.of([items("a", "b", "c")]) - Bag.of([items("b")])
    assert left == Bag.of([items("a", "c")])


def test_a_reservation_is_another_resource() -> None:
    web = scalar("cpus", 1)
    web.role = "web"
    assert not Bag.of([scalar("cpus", 4)]).covers(Bag.of([web]))
    assert Bag.of([web]).pick(frozenset({"db"})) == Bag()
    assert Bag.of([web]).pick(frozenset({"web"})) == Bag.of([web])


@pytest.mark.parametrize("resource", [scalar("cpus", 1), volume(), ports((1, 2))])
def test_both_formats_say_the_same(resource: mesos.Resource) -> None:
    new = upgraded(resource)
    assert not new.HasField("role")
    assert downgraded(new) == resource
    assert Bag.of([new]) == Bag.of([resource])


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
    assert not Bag.of([resource]).without_refined()


def test_a_volume_is_made_of_plain_disk() -> None:
    assert is_dynamic(volume())
    assert not is_dynamic(scalar("disk", 1))
    assert Bag.of([stripped(volume())]) == Bag.of([scalar("disk", 10)])


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
def test_what_a_master_refuses_is_named(resource: mesos.Resource, word: str) -> None:
    with pytest.raises(InvalidResource, match=word):
        Bag.of([resource])


def test_a_text_for_people() -> None:
    web = scalar("mem", 5)
    web.role = "web"
    bag = Bag.of([scalar("cpus", 0.5), web, ports((1, 2), (9, 9))])
    assert str(bag) == "cpus:0.5; mem(web):5; ports:[1-2, 9-9]"
    assert str(Bag()) == "nothing"
