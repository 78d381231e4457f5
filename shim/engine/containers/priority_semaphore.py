"""How many engine calls are under way at once, ends before launches.

A removal frees what a launch is waiting for, and a kill must not queue behind ten thousand
launches: whoever asks urgently is served first, otherwise in order of arrival.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class PrioritySemaphore:
    """At most ``count`` turns are taken at any time."""

    def __init__(self, count: int, moved: Callable[[], None] = lambda: None) -> None:
        """``moved`` is called whenever somebody waits no longer."""
        self._free = count
        self._moved = moved
        self.waiting = 0
        """How many wait for a turn."""
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """One turn, from when it is there to the end of the block."""
        await self.acquire(urgent=urgent)
        try:
            yield
        finally:
            self.release()

    async def acquire(self, *, urgent: bool = False) -> None:
        """Wait for a turn. Safe to cancel: a turn granted meanwhile goes to the next."""
        if self._free:
            self._free -= 1
            return
        queue = self._urgent if urgent else self._others
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
            self._moved()

    def release(self) -> None:
        """The turn goes to the next who still waits."""
        for queue in (self._urgent, self._others):
            while queue:
                granted = queue.popleft()
                if not granted.cancelled():
                    granted.set_result(None)
                    return
        self._free += 1
