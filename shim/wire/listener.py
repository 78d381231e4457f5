"""Accepts connections for an HTTP server: plain ones, or those of libprocess over TLS.

With TLS, the first byte of a connection decides: a TLS peer begins with its handshake, at once. A
plain peer is taken only where ``support_downgrade`` allows it, and may stay silent: a master opens
a link to an agent long before it sends a message on it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web

from shim import limits
from shim.errors import PeerError
from shim.wire.connection_guard import ConnectionGuard, guarded
from shim.wire.tls import HANDSHAKE, Tls, verify_connection
from shim.wire.tls_errors import handshake_problem

log = logging.getLogger(__name__)


class Acceptor:
    """Connections of one listening socket, until :meth:`close`. They stay open after it."""

    def __init__(self, runner: web.AppRunner, listening: socket.socket, tls: Tls | None) -> None:
        # It tells a connection's guard of its requests, without which all would end.
        assert guarded in runner.app.middlewares
        self._runner = runner
        self._listening = listening
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._opening: set[asyncio.Task[None]] = set()
        """Connections whose handshake is under way."""
        self.port = cast(int, listening.getsockname()[1])

    async def start(self) -> None:
        if self._tls is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                self._guarded, sock=self._listening, backlog=limits.ACCEPT_BACKLOG
            )
            return
        self._listening.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(self._tls), name="TLS listener")

    async def close(self) -> None:
        """Take no further connection."""
        if self._server is not None:
            self._server.close()
        if self._accepting is not None:
            opening = [self._accepting, *self._opening]
            for task in opening:
                task.cancel()
            await asyncio.gather(*opening, return_exceptions=True)
            self._listening.close()

    def _guarded(self) -> asyncio.Protocol:
        """The protocol of one connection."""
        assert self._runner.server is not None
        return ConnectionGuard(self._runner.server())

    async def _accept(self, tls: Tls) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(self._listening)
            except OSError as error:
                # Too many open files, mostly: asyncio's own servers wait as long.
                log.error("no connection can be taken: %s", error)
                await asyncio.sleep(limits.ACCEPT_PAUSE)
                continue
            connection.setblocking(False)
            task = asyncio.create_task(self._open(tls, connection, peer[0]))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, tls: Tls, connection: socket.socket, peer: str) -> None:
        """Hand the connection to the HTTP server, or close it and say why."""
        try:
            first = await self._first_byte(tls, connection)
            if not first:
                # A check of the port by a load balancer, mostly.
                connection.close()
                return
            plain = _is_plain(tls, first)
            await self._serve(connection, peer, None if plain else tls)
        except (OSError, PeerError, TimeoutError) as error:
            why = isinstance(error, OSError) and handshake_problem(tls.settings, error)
            why = why or str(error) or "no TLS handshake came"
            log.warning("connection from %s refused: %s", peer, why)
            connection.close()
        except BaseException:
            connection.close()
            raise

    @staticmethod
    async def _first_byte(tls: Tls, connection: socket.socket) -> bytes:
        """A plain peer may be silent at first. Raises TimeoutError for one that is not to be."""
        downgrade = tls.settings.support_downgrade
        async with asyncio.timeout(None if downgrade else limits.TLS_HANDSHAKE_TIMEOUT):
            return await _peek(connection)

    async def _serve(self, connection: socket.socket, peer: str, tls: Tls | None) -> None:
        loop = asyncio.get_running_loop()
        if tls is None:
            await loop.connect_accepted_socket(self._guarded, connection)
            return
        gate = _VerifiedPeer(self._guarded)
        transport, _ = await loop.connect_accepted_socket(
            lambda: gate,
            connection,
            ssl=tls.server(),
            ssl_handshake_timeout=limits.TLS_HANDSHAKE_TIMEOUT,
        )
        try:
            await verify_connection(tls.settings, transport, peer, is_server=False)
        except BaseException:
            transport.abort()
            raise
        gate.open()


class _VerifiedPeer(asyncio.Protocol):
    """Holds the first bytes of a connection back until its peer is verified."""

    def __init__(self, server: Callable[[], asyncio.Protocol]) -> None:
        self._server = server
        self._transport: Any = None
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        self._transport.pause_reading()

    def open(self) -> None:
        """From now on the server has the connection."""
        if self._transport.is_closing():
            return
        protocol = self._server()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if self._held:
            protocol.data_received(self._held)
            self._transport.resume_reading()


def _is_plain(tls: Tls, first: bytes) -> bool:
    """Raises PeerError for a plain peer that is not to be taken."""
    if first[0] == HANDSHAKE:
        return False
    if not tls.settings.support_downgrade:
        raise PeerError("it is a plain connection, and LIBPROCESS_SSL_SUPPORT_DOWNGRADE is off")
    return True


async def _peek(connection: socket.socket) -> bytes:
    """The first byte, which stays unread; empty when the peer closed the connection."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            readable = loop.create_future()
            loop.add_reader(connection, readable.set_result, None)
            try:
                await readable
            finally:
                loop.remove_reader(connection)
