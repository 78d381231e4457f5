"""Admission of launches: the semaphore of engine calls, and which launches begin when."""

from __future__ import annotations

import asyncio

import pytest

from shim import limits
from shim.engine.containers.launch_queue import LaunchQueue
from shim.engine.containers.priority_semaphore import PrioritySemaphore
from shim.model.facts import ContainerStarted
from shim.model.orders import CancelLaunch
from tests.engine.containers.harness import LAUNCH_TIMEOUT, harness, tasks_of
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine, NotifyingEngine


async def hold(
    semaphore: PrioritySemaphore, order: list[str], name: str, *, urgent: bool = False
) -> None:
    async with semaphore.slot(urgent=urgent):
        order.append(name)


async def test_urgent_requests_are_served_first_then_the_others_in_order_of_arrival() -> None:
    semaphore, order = PrioritySemaphore(1), list[str]()
    await semaphore.acquire()
    tasks = [
        asyncio.create_task(hold(semaphore, order, name, urgent=name.startswith("urgent")))
        for name in ("first", "second", "urgent-1", "third", "urgent-2")
    ]
    await asyncio.sleep(0)
    assert semaphore.waiting == 5
    semaphore.release()
    await asyncio.gather(*tasks)
    assert order == ["urgent-1", "urgent-2", "first", "second", "third"]
    assert semaphore.waiting == 0


@pytest.mark.parametrize("granted", [False, True])
async def test_a_cancelled_wait_loses_no_slot(granted: bool) -> None:
    semaphore = PrioritySemaphore(1)
    await semaphore.acquire()
    waiting = asyncio.create_task(semaphore.acquire())
    await asyncio.sleep(0)
    if granted:
        semaphore.release()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    if not granted:
        semaphore.release()
    async with asyncio.timeout(1):
        await semaphore.acquire()
    assert semaphore.waiting == 0


async def test_a_slot_ends_with_its_block_even_by_an_error() -> None:
    semaphore = PrioritySemaphore(1)
    with pytest.raises(ValueError, match="x"):
        async with semaphore.slot():
            raise ValueError("x")
    async with asyncio.timeout(1):
        await semaphore.acquire()


class Begun:
    def __init__(self, name: str, order: list[str]) -> None:
        self.name = name
        self.order = order

    def begin(self) -> None:
        self.order.append(self.name)


@timeless
async def test_launches_begin_in_order_and_one_discarded_does_not() -> None:
    queue, begun = LaunchQueue(1), list[str]()
    names = [f"launch-{number}" for number in range(3 * limits.LAUNCH_BATCH)]
    for name in names:
        queue.add(name, Begun(name, begun))
    queue.discard("launch-5")
    assert queue.waiting == len(names) - 1 - len(begun)
    await asyncio.sleep(1)
    names.remove("launch-5")
    assert begun == names
    assert queue.waiting == 0


@timeless
async def test_a_closed_queue_begins_nothing() -> None:
    queue, begun = LaunchQueue(1), list[str]()
    for name in ("first", "second"):
        queue.add(name, Begun(name, begun))
    queue.close()
    await asyncio.sleep(1)
    assert begun == ["first"]
    assert queue.waiting == 0


@timeless
async def test_a_burst_is_begun_in_batches() -> None:
    """Thousands of launches may be ordered at once, and a ping is right behind them."""
    engine = NotifyingEngine()
    async with harness(engine, max_inflight=1000) as h:
        await engine.create_asked(h.launch("first"))
        refs = [h.launch(f"task-{n}") for n in range(10 * limits.LAUNCH_BATCH)]
        assert h.containerizer.busy == len(refs) + 1
        for pauses in range(1, 11):
            await asyncio.sleep(limits.LAUNCH_BATCH_INTERVAL)
            assert len(engine.creates_asked) <= 2 + pauses * limits.LAUNCH_BATCH
        await asyncio.sleep(2 * limits.LAUNCH_BATCH_INTERVAL)
        assert len(engine.creates_asked) == len(refs) + 1


@timeless
async def test_no_launch_begins_during_a_burst_for_a_second_at_most() -> None:
    engine = NotifyingEngine()
    async with harness(engine, max_inflight=1000) as h:
        for number in range(2 * limits.LAUNCH_BURST_INTERVALS):
            for launch in range(limits.LAUNCH_BURST + limits.LAUNCH_BATCH):
                h.launch(f"task-{number}-{launch}")
            await asyncio.sleep(limits.LAUNCH_BATCH_INTERVAL)
            begun = len(engine.creates_asked)
            if number < limits.LAUNCH_BURST_INTERVALS - 2:
                assert begun <= 1 + limits.LAUNCH_BATCH
        assert begun > limits.LAUNCH_BURST_INTERVALS, "and then they begin as usual"


@timeless
async def test_a_queued_launch_that_is_killed_never_begins() -> None:
    engine = FakeEngine()
    async with harness(engine) as h:
        refs = [h.launch(f"task-{n}") for n in range(5 * limits.LAUNCH_BATCH)]
        h.containerizer.carry_out(CancelLaunch(refs[-1]))
        for ref in refs[:-1]:
            await h.until(ContainerStarted, ref)
        await h.wait_idle()
        assert h.kinds(refs[-1]) == ["LaunchCancelled"]
        assert refs[-1].name not in engine.boxes


@timeless
async def test_launches_stay_queued_while_enough_wait_for_a_slot() -> None:
    """A begun launch takes far more memory than an order, and ten thousand may wait."""
    engine = NotifyingEngine()
    async with harness(engine, max_inflight=2) as h:
        refs = [h.launch(f"task-{n}") for n in range(3 * limits.LAUNCHES_WAITING)]
        await asyncio.sleep(100)
        begun = len([ref for ref in refs if tasks_of(ref)])
        assert 0 <= begun - limits.LAUNCHES_WAITING < limits.LAUNCH_BATCH
        assert h.containerizer.waiting == len(refs) - 2
        for ref in refs:
            await engine.create_asked(ref)
            engine.finish_create(ref)
            await h.until(ContainerStarted, ref)
        await h.wait_idle()
        first_asked = list(dict.fromkeys(engine.creates_asked))
        assert first_asked == [ref.name for ref in refs], "in the order they came"


@timeless
async def test_the_time_in_the_queue_counts_as_waiting() -> None:
    """At an endpoint that answers no call, ten thousand launches time out together."""
    engine = NotifyingEngine()
    async with harness(engine, max_inflight=1) as h:
        held = h.launch("held")
        await engine.create_asked(held)
        engine.away = True
        engine.break_events()
        refs = [h.launch(f"task-{n}") for n in range(3 * limits.LAUNCHES_WAITING)]
        await asyncio.sleep(LAUNCH_TIMEOUT - 60)
        assert not any(h.of(ref) for ref in refs)
        await asyncio.sleep(120)
        assert {h.kinds(ref)[-1] for ref in refs} == {"LaunchFailed"}
        engine.away = False
        engine.finish_create(held)
        await h.wait_idle()
