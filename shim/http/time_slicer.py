"""Large pages without holding up the loop: work and output in small pieces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

from shim import limits


class TimeSlicer:
    """All pages together work one slice between two turns of the loop, however many are asked."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    def breather(self, rest: float = 0.0) -> Breather:
        """``rest``: seconds between two slices."""
        return Breather(self._turn, rest)


class Breather:
    """Call ``pause`` often: others get the loop whenever a slice of time is used up."""

    def __init__(self, turn: asyncio.Lock, rest: float) -> None:
        self._turn = turn
        self._rest = rest
        self._until = 0.0

    async def pause(self) -> None:
        if time.perf_counter() > self._until:
            await asyncio.sleep(self._rest)
            async with self._turn:
                await asyncio.sleep(0)
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


async def array(items: Iterable[bytes], breather: Breather) -> AsyncIterator[bytes]:
    """A JSON array of items that are JSON already, each made when it is asked for."""
    between = b"["
    for item in items:
        await breather.pause()
        yield between + item
        between = b","
    yield b"]" if between == b"," else b"[]"
