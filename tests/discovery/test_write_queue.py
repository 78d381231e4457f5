from __future__ import annotations

import asyncio

from shim.discovery.write_queue import WriteQueue


async def drain(queue: WriteQueue) -> list[str]:
    found = []
    while len(queue):
        item = await asyncio.wait_for(queue.get(), 1)
        found.append(item)
        queue.done(item)
    return found


async def test_each_item_waits_once_and_urgent_items_come_first() -> None:
    queue = WriteQueue()
    for item in "abab":
        queue.put(item)
    queue.put("c", urgent=True)
    queue.put("b", urgent=True)
    queue.put("c")
    assert len(queue) == 3
    assert await drain(queue) == ["c", "b", "a"]


async def test_an_item_has_at_most_one_writer() -> None:
    queue = WriteQueue()
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


async def test_get_waits_until_an_item_is_put() -> None:
    queue = WriteQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.put("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    queue.put("b")
    assert sorted(await asyncio.gather(*waiting)) == ["a", "b"]
