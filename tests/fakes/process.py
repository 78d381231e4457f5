"""A process in memory that someone talks to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from shim.engine.client.frames import STDERR, STDOUT
from shim.errors import Transient


class FakeProcess:
    """``cat`` repeats its input, ``exit N`` ends, ``say OUT ERR`` prints; others just run."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        tty: bool,
        stop: asyncio.Event,
        has_stdin: bool = True,
        user: str = "",
    ) -> None:
        """``stop`` is set when its container ends."""
        self.argv, self.env, self.user = list(argv), dict(env), user
        self.tty, self.has_stdin = tty, has_stdin
        self.marks = {f"{name}={value}" for name, value in env.items()}
        self.code: int | None = None
        self.sizes: list[tuple[int, int]] = []
        self.received = bytearray()
        self.closed = self.stdin_closed = False
        self.output: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self._stop = stop
        match self.argv:
            case ["exit", code]:
                self.end(int(code))
            case ["sh", "-c", text] if text.startswith("exit "):
                self.end(int(text.removeprefix("exit ")))
            case ["say", out, err]:
                self.print(STDOUT, f"{out}\n".encode())
                self.print(STDERR, f"{err}\n".encode())
                self.end(0)

    def print(self, stream: int, data: bytes) -> None:
        self.output.put_nowait((STDOUT if self.tty else stream, data))

    def end(self, code: int) -> None:
        if self.code is None:
            self.code = code
            self.output.put_nowait(None)

    async def read(self) -> tuple[int, bytes] | None:
        getting = asyncio.ensure_future(self.output.get())
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({getting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not getting.done():
            getting.cancel()
            return None
        return getting.result()

    async def write(self, data: bytes) -> None:
        if self.code is not None:
            raise Transient("input of a process: Broken pipe")
        if self.has_stdin:
            self.received += data
            if self.argv == ["cat"]:
                self.print(STDOUT, data)

    async def close_stdin(self) -> None:
        self.stdin_closed = True
        if self.argv == ["cat"] and self.has_stdin and not self.tty:
            self.end(0)

    async def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    async def exit_code(self) -> int | None:
        return self.code

    def close(self) -> None:
        self.closed = True
