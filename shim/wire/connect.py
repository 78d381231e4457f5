"""Connections to other libprocess processes, plain or over TLS."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

from shim import limits
from shim.errors import PeerError
from shim.wire.tls import Tls, verify_connection
from shim.wire.tls_errors import NOT_TLS, handshake_problem

Address = tuple[str, int]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[Address], Awaitable[Streams]]
"""Opens a connection. Raises OSError, or PeerError for a peer that does not prove its name."""

log = logging.getLogger(__name__)


def connector(tls: Tls | None) -> Connect:
    """How this process connects to others."""
    if tls is None:
        return connect

    async def connect_with_tls(address: Address) -> Streams:
        try:
            return await _open_tls(tls, address)
        except OSError as error:
            if not (tls.settings.support_downgrade and _speaks_no_tls(error)):
                if problem := handshake_problem(tls.settings, error):
                    raise PeerError(problem) from None
                raise
        return await connect(address)

    return connect_with_tls


async def connect(address: Address) -> Streams:
    """Open a plain connection that detects a dead path within LINK_STALL seconds."""
    reader, writer = await asyncio.open_connection(*address)
    _detect_dead_path(writer)
    return reader, writer


async def _open_tls(tls: Tls, address: Address) -> Streams:
    reader, writer = await asyncio.open_connection(*address, ssl=tls.client())
    try:
        peer = writer.get_extra_info("peername") or address
        await verify_connection(tls.settings, writer.transport, peer[0], is_server=True)
    except BaseException:
        writer.transport.abort()
        raise
    _detect_dead_path(writer)
    return reader, writer


def _speaks_no_tls(error: OSError) -> bool:
    """Whether the handshake failed for want of TLS; never for a certificate that is not valid."""
    if isinstance(error, ssl.SSLError):
        return error.reason in NOT_TLS
    return isinstance(error, ConnectionResetError | BrokenPipeError)


def _detect_dead_path(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is None:
        raise ConnectionResetError("closed by the peer at once")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        stall = int(limits.LINK_STALL)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, stall)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall * 1000)


def end_of_stream(writer: asyncio.StreamWriter) -> None:
    """Tell the peer that nothing follows. The peer then closes the connection."""
    if writer.can_write_eof():
        writer.write_eof()
    else:
        # TLS has no half-closed connections: this sends what is queued, then its own farewell.
        writer.close()
