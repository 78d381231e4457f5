"""Work in a thread for somebody who may be cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


def _nothing() -> None:
    return None


async def in_pool(
    pool: Executor, work: Callable[[], T], *, on_cancel: Callable[[], None] = _nothing
) -> T:
    """What ``work`` returns. Cancelled only when the thread is done with it.

    ``on_cancel`` may tell it to hurry.
    """
    running = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        on_cancel()
        await asyncio.wait([running])
        raise
