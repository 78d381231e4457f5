"""Bounds on one connection to the HTTP server, beside which it may stay open for ever.

A peer that opens a connection and is silent looks like a master, or an executor, that links to the
agent: it is left alone, as are connections on which messages or calls of frameworks and executors
came. All others end: those of a head that never ends, of an output that nobody takes, and of a
client that has its answer and asks nothing more.

    silent --first byte--> head --request begins--> serving --answered--> idle or link
                            |                          |                   |
                            +--- HEAD_TIMEOUT          |                   +--- IDLE_TIMEOUT (idle)
                                                       +--- OUTPUT_TIMEOUT (output waits)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from shim import limits
from shim.wire.framing import is_message

LINKS = ("/api/v1/executor", "/api/v1/scheduler")
"""Ends of paths. Who calls these subscribes again when one of its connections is closed."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)


class ConnectionGuard(asyncio.Protocol):
    """Passes everything on to the protocol of the HTTP server, and keeps the time."""

    def __init__(self, server: Any) -> None:
        """``server``: the protocol of one connection, as aiohttp's server makes it."""
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._requests = 0
        """Under way."""
        self._is_link = False
        """A message, or a call of a framework or executor, came: never closed without need."""
        self._input: asyncio.TimerHandle | None = None
        """Until a request begins."""
        self._output: asyncio.TimerHandle | None = None
        """While output waits for its reader."""

    @contextmanager
    def serving(self, *, is_link: bool) -> Iterator[None]:
        """For the time of one request; ``is_link``: of those that keep their connection."""
        self._stop_input()
        self._is_link |= is_link
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests and not self._is_link and self._transport is not None:
                self._start_input(limits.IDLE_TIMEOUT, self._end_idle)

    # --- what the transport says ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._input is None and not self._requests and not self._is_link:
            self._start_input(limits.HEAD_TIMEOUT, self._end_head)
        self._server.data_received(data)

    def eof_received(self) -> bool | None:
        kept: bool | None = self._server.eof_received()
        return kept

    def pause_writing(self) -> None:
        if self._output is None:
            self._output = self._loop.call_later(limits.OUTPUT_TIMEOUT, self._end_output)
        self._server.pause_writing()

    def resume_writing(self) -> None:
        self._stop_output()
        self._server.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_input()
        self._stop_output()
        self._transport = None
        self._server.connection_lost(exc)

    # --- the ends ---------------------------------------------------------------------------

    def _start_input(self, seconds: float, end: Callable[[], None]) -> None:
        self._stop_input()
        self._input = self._loop.call_later(seconds, end)

    def _stop_input(self) -> None:
        if self._input is not None:
            self._input.cancel()
            self._input = None

    def _stop_output(self) -> None:
        if self._output is not None:
            self._output.cancel()
            self._output = None

    def _end_head(self) -> None:
        self._abort("its request does not end")

    def _end_idle(self) -> None:
        """An answer that is still read has a time of its own."""
        if self._output is None:
            self._abort("it is idle")

    def _end_output(self) -> None:
        self._abort("it takes no output")

    def _abort(self, why: str) -> None:
        if self._transport is not None:
            peer = self._transport.get_extra_info("peername")
            log.debug("connection from %s is closed: %s", peer, why)
            self._transport.abort()


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The first middleware of every server whose connections an ``Acceptor`` takes."""
    guard = request.transport and request.transport.get_protocol()
    if not isinstance(guard, ConnectionGuard):
        # The connection is gone already.
        return await handler(request)
    is_link = is_message(request.method, request.headers) or request.path.endswith(LINKS)
    with guard.serving(is_link=is_link):
        return await handler(request)
