"""A bound for concurrent engine calls, which urgent calls pass first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class PrioritySemaphore:
    """At most ``count`` slots are held at any time; urgent requests are served first.

    A removal frees what a launch is waiting for, and a kill must not queue behind ten thousand
    launches. Requests of the same urgency are served in order of arrival.
    """

    def __init__(self, count: int, on_dequeue: Callable[[], None] = lambda: None) -> None:
        """``on_dequeue`` is called whenever a request stops waiting."""
        self._free = count
        self._on_dequeue = on_dequeue
        self.waiting = 0
        """How many requests wait for a slot."""
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._normal: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Hold one slot for the length of the block."""
        await self.acquire(urgent=urgent)
        try:
            yield
        finally:
            self.release()

    async def acquire(self, *, urgent: bool = False) -> None:
        """Wait for a slot. Safe to cancel: a slot granted meanwhile goes to the next request."""
        if self._free:
            self._free -= 1
            return
        queue = self._urgent if urgent else self._normal
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(granted)
        self.waiting += 1
        try:
            await granted
        except asyncio.CancelledError:
            if not granted.cancelled():
                self.release()
            raise
        finally:
            self.waiting -= 1
            self._on_dequeue()

    def release(self) -> None:
        """Give the slot to the next request that still waits."""
        for queue in (self._urgent, self._normal):
            while queue:
                granted = queue.popleft()
                if not granted.cancelled():
                    granted.set_result(None)
                    return
        self._free += 1
