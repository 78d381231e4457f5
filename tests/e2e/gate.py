"""A TCP proxy before an HTTP server, as slow as wanted, that counts what is asked."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_REQUEST = re.compile(rb"^([A-Z]+) (\S+) HTTP/1\.1\r$", re.MULTILINE)
_PIECE = 16 * 1024


class Gate:
    """``rate`` is what it lets through to a client, in bytes a second; None: all."""

    def __init__(self, behind: int, rate: float | None) -> None:
        self._behind = behind
        self._rate = rate
        self.port = 0
        self.asked: Counter[str] = Counter()
        """By method and path."""
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """Open now."""
        return len(self._serving)

    def count(self, method: str, part: str) -> int:
        """How many requests of the method had this in their path."""
        return sum(n for what, n in self.asked.items() if what.startswith(method) and part in what)

    async def close(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client came."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self._behind)
        ways = {
            asyncio.create_task(self._ask(reader, onward)),
            asyncio.create_task(self._answer(there, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            onward.close()
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE):
            for method, path in _REQUEST.findall(data):
                self.asked[f"{method.decode()} {path.decode()}"] += 1
            onward.write(data)
            await onward.drain()

    async def _answer(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(_PIECE):
            writer.write(data)
            await writer.drain()
            if self._rate is not None:
                await asyncio.sleep(len(data) / self._rate)


@asynccontextmanager
async def gate(behind: int, rate: float | None = None) -> AsyncIterator[Gate]:
    """A gate on a free port of 127.0.0.1, before the port ``behind``."""
    made = Gate(behind, rate)
    server = await asyncio.start_server(made.take, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
