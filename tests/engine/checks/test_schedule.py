from __future__ import annotations

from shim.engine.checks.schedule import SLACK, Schedule


def test_items_come_in_the_order_in_which_they_are_due() -> None:
    schedule: Schedule[str] = Schedule()
    for thing, due in (("c", 3), ("a", 1), ("b", 2)):
        schedule.set(thing, due)
    assert schedule.next_due() == 1
    assert list(schedule.pop_due(2)) == ["a", "b"]
    assert list(schedule.pop_due(2)) == []
    assert schedule.next_due() == 3


def test_items_due_at_the_same_time_come_in_the_order_of_setting() -> None:
    schedule: Schedule[str] = Schedule()
    for thing in "xyz":
        schedule.set(thing, 1)
    assert list(schedule.pop_due(1)) == ["x", "y", "z"]


def test_setting_an_item_again_replaces_its_time() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.set("a", 1)
    schedule.set("a", 5)
    assert list(schedule.pop_due(4)) == []
    assert list(schedule.pop_due(5)) == ["a"]


def test_a_discarded_item_is_never_due() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.set("a", 1)
    schedule.discard("a")
    schedule.discard("a")
    assert schedule.next_due() is None
    assert len(schedule) == 0


def test_discarded_items_take_no_memory() -> None:
    """Ten thousand tasks that ended before their first check was due in a year."""
    schedule: Schedule[int] = Schedule()
    for number in range(10_000):
        schedule.set(number, 1e9)
        schedule.discard(number)
    assert len(schedule._heap) <= SLACK + 1
