"""Deadlines by key."""

from __future__ import annotations

from shim.core.timers import Timers


def test_the_earliest_comes_first() -> None:
    timers = Timers()
    timers.set("b", 2.0)
    timers.set("a", 1.0)
    assert timers.next() == 1.0
    assert timers.pop_due(2.0) == ["a", "b"]
    assert timers.next() is None


def test_setting_again_replaces() -> None:
    timers = Timers()
    timers.set("a", 1.0)
    timers.set("a", 5.0)
    assert timers.pop_due(4.9) == []
    assert timers.pop_due(5.0) == ["a"]


def test_a_cancelled_one_never_comes() -> None:
    timers = Timers()
    timers.set("a", 1.0)
    timers.cancel("a")
    timers.cancel("never set")
    assert timers.next() is None
    assert timers.pending() == []


def test_replaced_ones_do_not_pile_up() -> None:
    timers = Timers()
    for i in range(10_000):
        timers.set("a", float(i))
    assert len(timers._heap) < 100
    assert timers.pop_due(9_999.0) == ["a"]


def test_one_set_for_the_same_time_as_another_keeps_the_order_of_setting() -> None:
    timers = Timers()
    for key in ("x", ("update", 1), "b"):
        timers.set(key, 1.0)
    assert timers.pop_due(1.0) == ["x", ("update", 1), "b"]
