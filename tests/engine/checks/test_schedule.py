from __future__ import annotations

from shim.engine.checks.schedule import SLACK, Schedule


def test_things_come_in_the_order_they_are_due() -> None:
    schedule: Schedule[str] = Schedule()
    for thing, due in (("c", 3), ("a", 1), ("b", 2)):
        schedule.put(thing, due)
    assert schedule.next_due() == 1
    assert list(schedule.take_due(2)) == ["a", "b"]
    assert list(schedule.take_due(2)) == []
    assert schedule.next_due() == 3


def test_equally_due_the_first_come_is_first() -> None:
    schedule: Schedule[str] = Schedule()
    for thing in "xyz":
        schedule.put(thing, 1)
    assert list(schedule.take_due(1)) == ["x", "y", "z"]


def test_a_later_word_replaces_the_earlier() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.put("a", 1)
    schedule.put("a", 5)
    assert list(schedule.take_due(4)) == []
    assert list(schedule.take_due(5)) == ["a"]


def test_what_is_discarded_is_never_due() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.put("a", 1)
    schedule.discard("a")
    schedule.discard("a")
    assert schedule.next_due() is None
    assert len(schedule) == 0


def test_what_was_given_up_takes_no_room() -> None:
    """Ten thousand tasks that ended before their first check was due in a year."""
    schedule: Schedule[int] = Schedule()
    for number in range(10_000):
        schedule.put(number, 1e9)
        schedule.discard(number)
    assert len(schedule._heap) <= SLACK + 1
