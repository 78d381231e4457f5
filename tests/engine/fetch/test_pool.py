"""Work in threads: its result, its error, and a cancellation that waits for the thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shim.engine.fetch.pool import in_pool


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as found:
        yield found


async def test_its_result_and_its_error_are_handed_on(pool: ThreadPoolExecutor) -> None:
    assert await in_pool(pool, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_pool(pool, lambda: 1 // 0)


async def test_cancelled_only_when_the_thread_is_done(pool: ThreadPoolExecutor) -> None:
    begun, hurry, log = threading.Event(), threading.Event(), list[str]()

    def work() -> None:
        begun.set()
        assert hurry.wait(10)
        log.append("the thread is done")

    working = asyncio.create_task(in_pool(pool, work, on_cancel=hurry.set))
    await asyncio.to_thread(begun.wait, 10)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert log == ["the thread is done"]
