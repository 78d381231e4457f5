"""The loop: order, the barrier in action, a disk that refuses, deadlines, the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from shim import limits
from shim.agent.journal import Journal
from shim.agent.runtime import Runtime, SystemEntropy, now
from shim.core.agent import Core
from shim.core.context import Decision, Now
from shim.errors import FatalError, Transient
from shim.model.facts import DeadlinePassed, Fact, MasterDetected, MessageReceived
from shim.model.ids import Pid
from shim.model.orders import Exit, Level, Notice, Order, Pong
from shim.model.records import Record, SaveShimId
from shim.protos.messages_pb2 import PingSlaveMessage

PING = Pong(Pid("slave-observer(1)", "10.0.0.1", 5050))


def fact(number: int) -> Fact:
    return MasterDetected(Pid("master", "10.0.0.1", number))


def note(text: object) -> Notice:
    return Notice(Level.INFO, str(text))


class ScriptedCore:
    """Saves and says the port of every master detected; port 0 ends it all, 1 breaks."""

    def __init__(self) -> None:
        self.handled: list[Fact] = []
        self.at: float | None = None

    def handle(self, fact: Fact, at: Now) -> Decision:
        self.handled.append(fact)
        if isinstance(fact, DeadlinePassed):
            self.at = None
            return Decision([], [note("deadline")])
        if isinstance(fact, MessageReceived):
            return Decision([], [PING])
        assert isinstance(fact, MasterDetected)
        assert fact.pid is not None
        port = fact.pid.port
        if port == 0:
            return Decision([SaveShimId("end")], [Exit(3, "enough")])
        if port == 1:
            raise RuntimeError("a bug")
        return Decision([SaveShimId(str(port))], [note(port), PING])

    def deadline(self) -> float | None:
        return self.at


class ScriptedJournal:
    """Commits when let; answers with the errors given."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.errors: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, batch: Sequence[Record]) -> None:
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append([cast(SaveShimId, record).shim_id for record in batch])


class Bench:
    def __init__(self) -> None:
        self.core = ScriptedCore()
        self.journal = ScriptedJournal()
        self.carried: list[Order] = []
        self.runtime = Runtime(cast(Core, self.core), cast(Journal, self.journal))

    def carry_out(self, order: Order) -> None:
        if order == note(13):
            raise RuntimeError("this one cannot be carried out")
        self.carried.append(order)

    @property
    def texts(self) -> list[str]:
        return [order.text for order in self.carried if isinstance(order, Notice)]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.texts) < count:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    running = asyncio.create_task(made.runtime.run(made.carry_out))
    yield made
    running.cancel()
    await asyncio.wait({running})
    await made.runtime.close()


async def test_facts_are_handled_in_order_and_committed_together() -> None:
    async with bench() as b:
        for port in (10, 11, 12):
            b.runtime.post(fact(port))
        await b.until(3)
        assert b.texts == ["10", "11", "12"]
        assert b.journal.batches == [["10", "11", "12"]]
        assert b.runtime.commits == 1


async def test_nothing_is_carried_out_before_it_is_durable_but_answers_to_pings() -> None:
    async with bench() as b:
        b.journal.gate.clear()
        b.runtime.post(fact(10))
        await asyncio.sleep(0.01)
        assert b.carried == [PING]
        b.runtime.post(fact(11))
        b.runtime.post(fact(12))
        await asyncio.sleep(0.01)
        assert b.carried == [PING] * 3
        assert len(b.core.handled) == 3, "the loop goes on while the disk is busy"
        b.journal.gate.set()
        await b.until(3)
        assert b.journal.batches == [["10"], ["11", "12"]]


async def test_a_disk_that_refuses_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "DISK_RETRY", 0.005)
    async with bench() as b:
        b.journal.errors = [Transient("disk full"), Transient("disk full"), Transient("disk full")]
        b.runtime.post(fact(10))
        await asyncio.sleep(0.007)
        assert b.runtime.disk_failing
        assert b.texts == []
        await b.until(1)
        assert not b.runtime.disk_failing
        assert b.journal.batches == [["10"]]
        assert caplog.text.count("disk full") == 1, "told once"
        assert "takes records again" in caplog.text


@pytest.mark.parametrize("error", [FatalError("damaged"), RuntimeError("damaged")])
async def test_records_that_can_never_be_durable_end_the_process(error: Exception) -> None:
    made = Bench()
    made.journal.errors = [error]
    made.runtime.post(fact(10))
    made.runtime.post(fact(11))
    async with asyncio.timeout(5):
        ended = await made.runtime.run(made.carry_out)
    assert ended == Exit(1, "damaged")
    made.runtime.post(fact(12))
    await made.runtime.close()
    assert made.texts == []
    assert made.journal.batches == [], "nothing is written on top of what was lost"


async def test_an_order_that_fails_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bench() as b:
        for port in (12, 13, 14):
            b.runtime.post(fact(port))
        await b.until(2)
        assert b.texts == ["12", "14"]
        assert "Notice cannot be carried out" in caplog.text


async def test_deadlines_are_kept() -> None:
    async with bench() as b:
        began = time.monotonic()
        b.core.at = began + 0.02
        b.runtime.post(fact(10))
        await b.until(2)
        assert b.texts == ["10", "deadline"]
        assert time.monotonic() - began >= 0.02


async def test_a_deadline_does_not_wait_for_the_disk() -> None:
    async with bench() as b:
        b.journal.gate.clear()
        b.core.at = time.monotonic()
        b.runtime.post(fact(10))
        await asyncio.sleep(0.02)
        assert DeadlinePassed() in b.core.handled
        b.journal.gate.set()
        await b.until(2)


async def test_many_facts_leave_others_their_turn() -> None:
    async with bench() as b:
        for _ in range(3 * limits.FACTS_PER_TURN):
            b.runtime.post(fact(10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert 0 < len(b.core.handled) <= limits.FACTS_PER_TURN
        await b.until(3 * limits.FACTS_PER_TURN)


async def test_a_ping_overtakes_what_waits_unless_it_tells_of_a_broken_link() -> None:
    sender = Pid("slave-observer(1)", "10.0.0.1", 5050)
    well = MessageReceived(sender, PingSlaveMessage(connected=True))
    broken = MessageReceived(sender, PingSlaveMessage(connected=False))
    async with bench() as b:
        facts = [fact(10), fact(11), broken, well]
        for each in facts:
            b.runtime.post(each)
        await b.until(2)
        assert b.core.handled == [well, *facts[:3]]


async def test_many_orders_leave_others_their_turn() -> None:
    async with bench() as b:
        for _ in range(3 * limits.ORDERS_PER_TURN):
            b.runtime.post(fact(10))
        most, before = 0, 0
        while len(b.texts) < 3 * limits.ORDERS_PER_TURN:
            await asyncio.sleep(0)
            most, before = max(most, len(b.texts) - before), len(b.texts)
        assert 0 < most <= limits.ORDERS_PER_TURN


async def test_settled_means_handled_durable_and_carried_out() -> None:
    async with bench() as b:
        b.journal.gate.clear()
        b.runtime.post(fact(10))
        waiting = asyncio.create_task(b.runtime.settled())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        b.journal.gate.set()
        async with asyncio.timeout(5):
            await waiting
        assert b.texts == ["10"]


async def test_the_core_ends_it_when_that_is_durable() -> None:
    made = Bench()
    made.journal.gate.clear()
    made.runtime.post(fact(10))
    made.runtime.post(fact(0))
    running = asyncio.create_task(made.runtime.run(made.carry_out))
    await asyncio.sleep(0.01)
    assert not running.done()
    made.journal.gate.set()
    async with asyncio.timeout(5):
        assert await running == Exit(3, "enough")
    assert made.texts == ["10"]
    assert made.journal.batches == [["10", "end"]]


async def test_a_stop_carries_out_what_waits_for_the_disk() -> None:
    made = Bench()
    made.journal.gate.clear()
    running = asyncio.create_task(made.runtime.run(made.carry_out))
    made.runtime.post(fact(10))
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    made.journal.gate.set()
    await made.runtime.close()
    assert made.texts == ["10"]


async def test_a_stop_does_not_wait_for_a_disk_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DISK_CLOSE_TIMEOUT", 0.02)
    made = Bench()
    made.journal.gate.clear()
    running = asyncio.create_task(made.runtime.run(made.carry_out))
    made.runtime.post(fact(10))
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    async with asyncio.timeout(5):
        await made.runtime.close()
    assert made.texts == []


async def test_a_bug_of_the_cores_ends_the_process() -> None:
    made = Bench()
    made.runtime.post(fact(1))
    with pytest.raises(ExceptionGroup, match="TaskGroup") as caught:
        async with asyncio.timeout(5):
            await made.runtime.run(made.carry_out)
    assert caught.group_contains(RuntimeError, match="a bug")


def test_uuids_are_random_ones() -> None:
    made = [SystemEntropy().uuid() for _ in range(100)]
    assert len(set(made)) == 100
    assert all(len(value) == 16 and value[6] >> 4 == 4 and value[8] >> 6 == 2 for value in made)


def test_waits_are_within_their_limit() -> None:
    assert all(0.0 <= SystemEntropy().uniform(2.0) <= 2.0 for _ in range(100))


def test_both_clocks_are_read() -> None:
    assert now().mono == pytest.approx(time.monotonic(), abs=1.0)
    assert now().wall == pytest.approx(time.time(), abs=1.0)
