"""Deadlines by key."""

from __future__ import annotations

from shim.model.timer_queue import TimerQueue


def test_the_earliest_deadline_is_due_first() -> None:
    timers: TimerQueue[str] = TimerQueue()
    timers.set("b", 2.0)
    timers.set("a", 1.0)
    assert timers.next_due() == 1.0
    assert timers.pop_due(2.0) == ["a", "b"]
    assert timers.next_due() is None
    assert len(timers) == 0


def test_setting_a_key_again_replaces_its_deadline() -> None:
    timers: TimerQueue[str] = TimerQueue()
    timers.set("a", 1.0)
    timers.set("a", 5.0)
    assert timers.pop_due(4.9) == []
    assert timers.pop_due(5.0) == ["a"]


def test_a_cancelled_deadline_is_never_due() -> None:
    timers: TimerQueue[str] = TimerQueue()
    timers.set("a", 1.0)
    timers.cancel("a")
    timers.cancel("never set")
    assert timers.next_due() is None
    assert list(timers) == []


def test_replaced_deadlines_do_not_pile_up() -> None:
    timers: TimerQueue[str] = TimerQueue()
    for i in range(10_000):
        timers.set("a", float(i))
    assert len(timers._heap) < 100
    assert timers.pop_due(9_999.0) == ["a"]


def test_cancelled_deadlines_do_not_pile_up() -> None:
    timers: TimerQueue[int] = TimerQueue()
    for i in range(10_000):
        timers.set(i, float(i))
    for i in range(9_999):
        timers.cancel(i)
    assert len(timers._heap) < 100
    assert list(timers) == [9_999]


def test_equal_deadlines_are_due_in_the_order_of_setting() -> None:
    timers: TimerQueue[object] = TimerQueue()
    for key in ("x", ("update", 1), "b"):
        timers.set(key, 1.0)
    assert timers.pop_due(1.0) == ["x", ("update", 1), "b"]
