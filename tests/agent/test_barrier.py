"""The barrier: orders leave it with their records, answers to pings at once."""

from __future__ import annotations

from shim.agent.barrier import Barrier
from shim.core.context import Decision
from shim.model.ids import Pid
from shim.model.orders import Level, Notice, Pong
from shim.model.records import Record, SaveShimId

PING = Pong(Pid("slave-observer(1)", "10.0.0.1", 5050))


def record(name: str) -> SaveShimId:
    return SaveShimId(name)


def notice(text: str) -> Notice:
    return Notice(Level.INFO, text)


def test_a_new_barrier_is_empty() -> None:
    assert not Barrier()


def test_orders_wait_with_the_records_of_their_decision() -> None:
    barrier = Barrier()
    assert list(barrier.add(Decision([record("a")], [notice("a")]))) == []
    assert barrier
    batch = barrier.take()
    assert batch == Decision([record("a")], [notice("a")])
    assert not barrier


def test_decisions_during_a_commit_form_the_next_batch_in_order() -> None:
    barrier = Barrier()
    barrier.add(Decision([record("a")], [notice("a")]))
    first = barrier.take()
    barrier.add(Decision([record("b")], [notice("b")]))
    barrier.add(Decision([], [notice("c")]))
    barrier.add(Decision([record("d")], []))
    assert first == Decision([record("a")], [notice("a")])
    assert barrier.take() == Decision([record("b"), record("d")], [notice("b"), notice("c")])


def test_an_order_without_records_waits_behind_earlier_records() -> None:
    barrier = Barrier()
    barrier.add(Decision([record("a")], []))
    assert list(barrier.add(Decision([], [notice("b")]))) == []
    assert barrier.take().orders == [notice("b")]


def test_pings_are_answered_at_once() -> None:
    barrier = Barrier()
    assert list(barrier.add(Decision([record("a")], [notice("a"), PING]))) == [PING]
    records: list[Record] = [record("a")]
    assert barrier.take() == Decision(records, [notice("a")])
    assert list(barrier.add(Decision([], [PING]))) == [PING]
    assert not barrier


def test_a_taken_batch_does_not_change() -> None:
    barrier = Barrier()
    decision = Decision([record("a")], [notice("a")])
    barrier.add(decision)
    batch = barrier.take()
    barrier.add(Decision([record("b")], [notice("b")]))
    assert batch == Decision([record("a")], [notice("a")])
    assert decision == Decision([record("a")], [notice("a")])
