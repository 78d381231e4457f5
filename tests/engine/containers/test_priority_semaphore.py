from __future__ import annotations

import asyncio

import pytest

from shim.engine.containers.priority_semaphore import PrioritySemaphore


async def taken(
    turns: PrioritySemaphore, order: list[str], name: str, *, urgent: bool = False
) -> None:
    async with turns.turn(urgent=urgent):
        order.append(name)


async def test_urgent_ones_first_then_in_order_of_arrival() -> None:
    turns, order = PrioritySemaphore(1), list[str]()
    await turns.acquire()
    tasks = [
        asyncio.create_task(taken(turns, order, name, urgent=name.startswith("urgent")))
        for name in ("first", "second", "urgent-1", "third", "urgent-2")
    ]
    await asyncio.sleep(0)
    assert turns.waiting == 5
    turns.release()
    await asyncio.gather(*tasks)
    assert order == ["urgent-1", "urgent-2", "first", "second", "third"]
    assert turns.waiting == 0


@pytest.mark.parametrize("granted", [False, True])
async def test_a_cancelled_wait_loses_no_turn(granted: bool) -> None:
    turns = PrioritySemaphore(1)
    await turns.acquire()
    waiting = asyncio.create_task(turns.acquire())
    await asyncio.sleep(0)
    if granted:
        turns.release()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    if not granted:
        turns.release()
    async with asyncio.timeout(1):
        await turns.acquire()
    assert turns.waiting == 0


async def test_a_turn_ends_with_its_block_even_by_an_error() -> None:
    turns = PrioritySemaphore(1)
    with pytest.raises(ValueError, match="x"):
        async with turns.turn():
            raise ValueError("x")
    async with asyncio.timeout(1):
        await turns.acquire()
