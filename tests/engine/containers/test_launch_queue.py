"""The semaphore of engine calls; how launches are begun is in ``test_long_creates``."""

from __future__ import annotations

import asyncio

import pytest

from shim import limits
from shim.engine.containers.launch_queue import LaunchQueue, PrioritySemaphore
from tests.fakes.clock import timeless


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
