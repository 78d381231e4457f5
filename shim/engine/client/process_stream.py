"""A process behind an upgraded connection: input as raw bytes, output in Docker's frames."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from shim import limits
from shim.engine.client.frames import STDOUT, Frames
from shim.engine.client.half_close import write_eof
from shim.errors import PeerError, Transient, error_text


class UpgradedProcess:
    """The :class:`~shim.engine.api.ProcessStream` of Docker and Triton."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        tty: bool,
        has_stdin: bool,
        resize: Callable[[int, int], Awaitable[None]],
        exit_code: Callable[[], Awaitable[int | None]],
    ) -> None:
        self.tty = tty
        self.has_stdin = has_stdin
        self._reader = reader
        self._writer = writer
        self._resize = resize
        self._exit_code = exit_code
        self._frames = Frames()
        self._pieces: deque[tuple[int, bytes]] = deque()

    async def read(self) -> tuple[int, bytes] | None:
        try:
            while not self._pieces:
                data = await self._reader.read(limits.EXEC_PIECE_BYTES)
                if not data:
                    return None
                pieces = [(STDOUT, data)] if self.tty else self._frames.feed(data)
                self._pieces.extend(piece for piece in pieces if piece[1])
        except (OSError, PeerError) as error:
            raise Transient(f"output of a process: {error_text(error)}") from None
        return self._pieces.popleft()

    async def write(self, data: bytes) -> None:
        if not self.has_stdin:
            return
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            raise Transient(f"input of a process: {error_text(error)}") from None

    async def close_stdin(self) -> None:
        if self.tty or not self.has_stdin:
            return
        try:
            await self._writer.drain()
            await write_eof(self._writer)
        except (OSError, RuntimeError) as error:
            raise Transient(f"input of a process: {error_text(error)}") from None

    async def resize(self, rows: int, columns: int) -> None:
        await self._resize(rows, columns)

    async def exit_code(self) -> int | None:
        return await self._exit_code()

    def close(self) -> None:
        self._writer.transport.abort()
