from __future__ import annotations

import asyncio

from shim.discovery.queue import WorkQueue


async def drain(queue: WorkQueue) -> list[str]:
    found = []
    while len(queue):
        item = await asyncio.wait_for(queue.get(), 1)
        found.append(item)
        queue.done(item)
    return found


async def test_each_waits_once_and_the_urgent_go_first() -> None:
    queue = WorkQueue()
    for item in "abab":
        queue.put(item)
    queue.put("c", urgent=True)
    queue.put("b", urgent=True)
    queue.put("c")
    assert len(queue) == 3
    assert await drain(queue) == ["c", "b", "a"]


async def test_no_item_has_two_writers() -> None:
    queue = WorkQueue()
    queue.put("a")
    item = await queue.get()
    queue.put("a")
    queue.put("b")
    assert await queue.get() == "b"
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done(item)
    assert await waiting == "a"


async def test_a_writer_sleeps_until_there_is_work() -> None:
    queue = WorkQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.put("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    queue.put("b")
    assert sorted(await asyncio.gather(*waiting)) == ["a", "b"]
