"""Large pages in small pieces, so that the event loop stays free for messages.

A page of 10,000 tasks is seconds of work. Each page calls ``checkpoint`` between two tasks and
gives the loop away whenever its slice of time is used up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from shim import limits
from shim.http.protojson import dump


class TimeSlicer:
    """Shared by all pages: only one of them has a slice between two turns of the event loop."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """``clock`` is in seconds."""
        self._lock = asyncio.Lock()
        self._clock = clock

    def begin(self, pause: float = 0.0) -> TimeSlice:
        """``pause``: seconds between two slices, for background work."""
        return TimeSlice(self._lock, self._clock, pause)


class TimeSlice:
    """The slices of one page, or of several coroutines that have them together."""

    def __init__(self, lock: asyncio.Lock, clock: Callable[[], float], pause: float) -> None:
        self._lock = lock
        self._clock = clock
        self._pause = pause
        self._until = 0.0

    async def checkpoint(self) -> None:
        """Return at once, or give the loop away first when the slice is used up. Call it often."""
        if self._clock() > self._until:
            await self._next_slice()

    async def _next_slice(self) -> None:
        await asyncio.sleep(self._pause)
        async with self._lock:
            if self._clock() <= self._until:
                return  # of a coroutine that has this slice as well
            # What arrives during another page's slice is handled in the loop's next turn, behind
            # what that turn begins with. So no slice begins there: it would be a second one to
            # wait for.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._until = self._clock() + limits.PAGE_SLICE_SECONDS


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


ArrayItem: TypeAlias = bytes | AsyncIterator[bytes] | None
"""JSON, JSON in pieces, or no item: only a moment at which the loop may be given away."""


async def json_array(items: Iterable[ArrayItem], time_slice: TimeSlice) -> AsyncIterator[bytes]:
    """A JSON array. Each item is made only when its turn comes."""
    separator = b"["
    for item in items:
        await time_slice.checkpoint()
        if item is None:
            continue
        if isinstance(item, bytes):
            yield separator + item
        else:
            yield separator
            async for piece in item:
                yield piece
        separator = b","
    yield b"]" if separator == b"," else b"[]"


async def json_tree(tree: Mapping[str, object], time_slice: TimeSlice) -> AsyncIterator[bytes]:
    """A JSON object. The iterators in it are arrays as of :func:`json_array`."""
    separator = b"{"
    for name, value in tree.items():
        head = separator + dump(name) + b":"
        separator = b","
        if isinstance(value, Iterator):
            yield head
            async for piece in json_array(value, time_slice):
                yield piece
        else:
            yield head + dump(value)
    yield b"}" if tree else b"{}"
