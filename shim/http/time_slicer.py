"""Large pages in small pieces, so that the event loop stays free for messages.

A page of 10,000 tasks is seconds of work. Each page calls ``checkpoint`` between two tasks and
gives the loop away whenever its slice of time is used up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

from shim import limits


class TimeSlicer:
    """Shared by all pages: only one of them has a slice between two turns of the event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    def begin(self, pause: float = 0.0) -> TimeSlice:
        """``pause``: seconds between two slices, for background work."""
        return TimeSlice(self._lock, pause)


class TimeSlice:
    """The slices of one page."""

    def __init__(self, lock: asyncio.Lock, pause: float) -> None:
        self._lock = lock
        self._pause = pause
        self._until = 0.0

    async def checkpoint(self) -> None:
        """Return at once, or give the loop away first when the slice is used up. Call it often."""
        if time.perf_counter() > self._until:
            await asyncio.sleep(self._pause)
            async with self._lock:
                await asyncio.sleep(0)
            self._until = time.perf_counter() + limits.PAGE_SLICE_SECONDS


async def coalesce(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of ``PAGE_SLICE_BYTES`` and more."""
    waiting, size = [], 0
    async for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= limits.PAGE_SLICE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


async def json_array(items: Iterable[bytes], time_slice: TimeSlice) -> AsyncIterator[bytes]:
    """A JSON array. Each item is JSON already, and is made only when its turn comes."""
    separator = b"["
    for item in items:
        await time_slice.checkpoint()
        yield separator + item
        separator = b","
    yield b"]" if separator == b"," else b"[]"
