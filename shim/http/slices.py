"""Large pages without holding up the loop: work and output in small pieces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

from shim import limits


class Breather:
    """Call ``pause`` often: others get the loop whenever a slice of time is used up."""

    def __init__(self, rest: float = 0.0) -> None:
        """``rest``: seconds between two slices."""
        self._rest = rest
        self._until = time.perf_counter() + limits.PAGE_SLICE_SECONDS

    async def pause(self) -> None:
        if time.perf_counter() > self._until:
            await asyncio.sleep(self._rest)
            self._until = time.perf_counter() + limits.PAGE_SLICE_SECONDS


async def gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces worth sending."""
    waiting, size = [], 0
    async for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= limits.PAGE_SLICE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


async def array(items: Iterable[bytes] | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A JSON array of items that are JSON already."""
    breather, between = Breather(), b"["
    if isinstance(items, AsyncIterator):
        async for item in items:
            yield between + item
            between = b","
    else:
        for item in items:
            await breather.pause()
            yield between + item
            between = b","
    yield b"]" if between == b"," else b"[]"
