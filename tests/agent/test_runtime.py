"""The runtime: order of facts, commits, failing disks, deadlines, the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from shim import limits
from shim.agent.runtime import Runtime, SystemEntropy, now
from shim.core.agent import Core
from shim.core.context import Decision, Now
from shim.errors import FatalError, Transient
from shim.model.facts import DeadlinePassed, Fact, MasterDetected, MessageReceived
from shim.model.ids import Pid
from shim.model.orders import Exit, Level, Notice, Order, Pong
from shim.model.records import Record, SaveShimId
from shim.protos.messages_pb2 import PingSlaveMessage
from tests.support.wait import patience

PING = Pong(Pid("slave-observer(1)", "10.0.0.1", 5050))


def fact(number: int) -> Fact:
    return MasterDetected(Pid("master", "10.0.0.1", number))


def note(text: object) -> Notice:
    return Notice(Level.INFO, str(text))


class ScriptedCore:
    """Records and logs the port of each detected master. Port 0 exits, port 1 raises."""

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
    """Commits while ``unblocked`` is set; raises ``errors`` first."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.errors: list[Exception] = []
        self.unblocked = asyncio.Event()
        self.unblocked.set()
        self.leads = True
        self.problem = ""
        self.unconfirmed: Exception = Transient("the lease is not confirmed")

    async def commit(self, batch: Sequence[Record]) -> None:
        await self.unblocked.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append([cast(SaveShimId, record).shim_id for record in batch])

    def may_act(self) -> bool:
        return self.leads

    async def confirm(self) -> None:
        if not self.leads:
            raise self.unconfirmed


class RuntimeUnderTest:
    def __init__(self) -> None:
        self.core = ScriptedCore()
        self.journal = ScriptedJournal()
        self.carried: list[Order] = []
        self.runtime = Runtime(cast(Core, self.core), self.journal)

    def carry_out(self, order: Order) -> None:
        if order == note(13):
            raise RuntimeError("a failing order")
        self.carried.append(order)

    @property
    def texts(self) -> list[str]:
        return [order.text for order in self.carried if isinstance(order, Notice)]

    async def until(self, count: int) -> None:
        async with patience():
            while len(self.texts) < count:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def running_runtime() -> AsyncIterator[RuntimeUnderTest]:
    made = RuntimeUnderTest()
    running = asyncio.create_task(made.runtime.run(made.carry_out))
    yield made
    running.cancel()
    await asyncio.wait({running})
    await made.runtime.close()


async def test_facts_are_handled_in_order_and_committed_together() -> None:
    async with running_runtime() as r:
        for port in (10, 11, 12):
            r.runtime.post(fact(port))
        await r.until(3)
        assert r.texts == ["10", "11", "12"]
        assert r.journal.batches == [["10", "11", "12"]]
        assert r.runtime.commits == 1


async def test_only_answers_to_pings_are_carried_out_before_the_commit() -> None:
    async with running_runtime() as r:
        r.journal.unblocked.clear()
        r.runtime.post(fact(10))
        await asyncio.sleep(0.01)
        assert r.carried == [PING]
        r.runtime.post(fact(11))
        r.runtime.post(fact(12))
        await asyncio.sleep(0.01)
        assert r.carried == [PING] * 3
        assert len(r.core.handled) == 3, "the loop goes on while the disk is busy"
        r.journal.unblocked.set()
        await r.until(3)
        assert r.journal.batches == [["10"], ["11", "12"]]


async def test_a_commit_is_retried_until_the_disk_takes_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "DISK_RETRY", 0.005)
    async with running_runtime() as r:
        r.journal.errors = [Transient("disk full"), Transient("disk full"), Transient("disk full")]
        r.runtime.post(fact(10))
        await asyncio.sleep(0.007)
        assert r.runtime.disk_failing
        assert r.texts == []
        await r.until(1)
        assert not r.runtime.disk_failing
        assert r.journal.batches == [["10"]]
        assert caplog.text.count("disk full") == 1, "logged once"
        assert "can be written again" in caplog.text


@pytest.mark.parametrize("error", [FatalError("damaged"), RuntimeError("damaged")])
async def test_records_that_cannot_be_written_end_the_process(error: Exception) -> None:
    made = RuntimeUnderTest()
    made.journal.errors = [error]
    made.runtime.post(fact(10))
    made.runtime.post(fact(11))
    async with patience():
        ended = await made.runtime.run(made.carry_out)
    assert ended == Exit(1, "damaged")
    made.runtime.post(fact(12))
    await made.runtime.close()
    assert made.texts == []
    assert made.journal.batches == [], "later records build on the lost ones"


async def test_an_order_that_fails_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running_runtime() as r:
        for port in (12, 13, 14):
            r.runtime.post(fact(port))
        await r.until(2)
        assert r.texts == ["12", "14"]
        assert "Notice cannot be carried out" in caplog.text


async def test_the_core_is_called_at_its_deadline() -> None:
    async with running_runtime() as r:
        began = time.monotonic()
        r.core.at = began + 0.02
        r.runtime.post(fact(10))
        await r.until(2)
        assert r.texts == ["10", "deadline"]
        assert time.monotonic() - began >= 0.02


async def test_a_deadline_does_not_wait_for_the_disk() -> None:
    async with running_runtime() as r:
        r.journal.unblocked.clear()
        r.core.at = time.monotonic()
        r.runtime.post(fact(10))
        await asyncio.sleep(0.02)
        assert DeadlinePassed() in r.core.handled
        r.journal.unblocked.set()
        await r.until(2)


async def test_many_facts_let_other_coroutines_run() -> None:
    async with running_runtime() as r:
        for _ in range(3 * limits.FACTS_PER_TURN):
            r.runtime.post(fact(10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert 0 < len(r.core.handled) <= limits.FACTS_PER_TURN
        await r.until(3 * limits.FACTS_PER_TURN)


async def test_a_plain_ping_overtakes_queued_facts_and_one_about_a_broken_link_does_not() -> None:
    sender = Pid("slave-observer(1)", "10.0.0.1", 5050)
    well = MessageReceived(sender, PingSlaveMessage(connected=True))
    broken = MessageReceived(sender, PingSlaveMessage(connected=False))
    async with running_runtime() as r:
        facts = [fact(10), fact(11), broken, well]
        for each in facts:
            r.runtime.post(each)
        await r.until(2)
        assert r.core.handled == [well, *facts[:3]]


async def test_many_orders_let_other_coroutines_run() -> None:
    async with running_runtime() as r:
        for _ in range(3 * limits.ORDERS_PER_TURN):
            r.runtime.post(fact(10))
        most, before = 0, 0
        while len(r.texts) < 3 * limits.ORDERS_PER_TURN:
            await asyncio.sleep(0)
            most, before = max(most, len(r.texts) - before), len(r.texts)
        assert 0 < most <= limits.ORDERS_PER_TURN


async def test_settled_waits_until_orders_are_carried_out() -> None:
    async with running_runtime() as r:
        r.journal.unblocked.clear()
        r.runtime.post(fact(10))
        waiting = asyncio.create_task(r.runtime.settled())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        r.journal.unblocked.set()
        async with patience():
            await waiting
        assert r.texts == ["10"]


async def test_an_exit_order_waits_for_its_commit() -> None:
    made = RuntimeUnderTest()
    made.journal.unblocked.clear()
    made.runtime.post(fact(10))
    made.runtime.post(fact(0))
    running = asyncio.create_task(made.runtime.run(made.carry_out))
    await asyncio.sleep(0.01)
    assert not running.done()
    made.journal.unblocked.set()
    async with patience():
        assert await running == Exit(3, "enough")
    assert made.texts == ["10"]
    assert made.journal.batches == [["10", "end"]]


async def test_close_carries_out_the_orders_of_a_commit_under_way() -> None:
    made = RuntimeUnderTest()
    made.journal.unblocked.clear()
    running = asyncio.create_task(made.runtime.run(made.carry_out))
    made.runtime.post(fact(10))
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    made.journal.unblocked.set()
    await made.runtime.close()
    assert made.texts == ["10"]


async def test_close_stops_waiting_for_the_disk_after_its_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "DISK_CLOSE_TIMEOUT", 0.02)
    made = RuntimeUnderTest()
    made.journal.unblocked.clear()
    running = asyncio.create_task(made.runtime.run(made.carry_out))
    made.runtime.post(fact(10))
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    async with patience():
        await made.runtime.close()
    assert made.texts == []


async def test_an_exception_in_the_core_ends_the_process() -> None:
    made = RuntimeUnderTest()
    made.runtime.post(fact(1))
    with pytest.raises(ExceptionGroup, match="TaskGroup") as caught:
        async with patience():
            await made.runtime.run(made.carry_out)
    assert caught.group_contains(RuntimeError, match="a bug")


def test_uuids_are_random_and_of_version_4() -> None:
    made = [SystemEntropy().uuid() for _ in range(100)]
    assert len(set(made)) == 100
    assert all(len(value) == 16 and value[6] >> 4 == 4 and value[8] >> 6 == 2 for value in made)


def test_random_waits_are_within_their_limit() -> None:
    assert all(0.0 <= SystemEntropy().uniform(2.0) <= 2.0 for _ in range(100))


def test_both_clocks_are_read() -> None:
    assert now().mono == pytest.approx(time.monotonic(), abs=1.0)
    assert now().wall == pytest.approx(time.time(), abs=1.0)


# --- a journal that several agents share ----------------------------------------------------------


async def test_no_order_is_carried_out_until_this_agent_may_act(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also orders without records. An answer to a ping goes at once."""
    monkeypatch.setattr(limits, "DISK_RETRY", 0.01)
    async with running_runtime() as made:
        made.journal.leads = False
        made.core.at = time.monotonic()
        made.runtime.post(fact(7))
        await asyncio.sleep(0.1)
        assert made.texts == []
        assert PING in made.carried
        assert made.runtime.disk_failing
        made.journal.leads = True
        await made.until(2)
        assert made.journal.batches == [["7"]], "committed once"
        assert not made.runtime.disk_failing


async def test_an_idle_agent_says_as_well_that_its_journal_takes_no_records() -> None:
    """Nothing is to be committed, so no commit can fail."""
    async with running_runtime() as made:
        assert not made.runtime.disk_failing
        made.journal.problem = "nothing is sent for 3 s: ZooKeeper does not answer"
        assert made.runtime.disk_failing


async def test_an_agent_that_is_fenced_ends_with_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = RuntimeUnderTest()
    made.journal.leads = False
    made.journal.unconfirmed = FatalError("another agent leads")
    running = asyncio.create_task(made.runtime.run(made.carry_out))
    made.runtime.post(fact(7))
    async with patience():
        assert await running == Exit(1, "another agent leads")
    assert made.texts == []
    assert "Traceback" not in caplog.text


async def test_a_lease_that_ends_between_two_orders_holds_the_second_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "DISK_RETRY", 0.01)
    async with running_runtime() as made:
        looks = iter([True])
        monkeypatch.setattr(made.journal, "may_act", lambda: next(looks, made.journal.leads))
        made.runtime.post(fact(7))
        made.runtime.post(fact(8))
        confirmed: list[list[str]] = []

        async def confirm() -> None:
            confirmed.append(list(made.texts))
            if len(confirmed) > 1:
                made.journal.leads = True

        monkeypatch.setattr(made.journal, "confirm", confirm)
        made.journal.leads = False
        await made.until(2)
        assert confirmed[1] == ["7"], "the second order waits for the lease"
