"""The end of one direction of a connection, also inside TLS, where asyncio has no call for it."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from shim import limits


async def write_eof(writer: asyncio.StreamWriter) -> None:
    """The peer reads the end of the stream after what was written; reading continues.

    In TLS this is a close_notify alert. asyncio sends one only together with the end of the whole
    connection, so its private ``SSLProtocol`` is used. A transport without one stays open.
    """
    if writer.can_write_eof():
        writer.write_eof()
        return
    protocol: Any = getattr(writer.transport, "_ssl_protocol", None)
    if protocol is None:
        return
    for _ in range(limits.HALF_CLOSE_ATTEMPTS):
        # OpenSSL takes data that it finds unread at this moment for a violation of the protocol.
        if not protocol._incoming.pending:
            break
        await asyncio.sleep(limits.HALF_CLOSE_PAUSE)
    _read_to_the_end(protocol._sslobj)
    try:
        protocol._sslobj.unwrap()
    except ssl.SSLWantReadError:
        # The alert is written; the peer's own has not come yet.
        protocol._process_outgoing()


def _read_to_the_end(connection: Any) -> None:
    """The peer's own alert is the end of its data.

    After an alert of this side, ``ssl`` raises an error in place of the end, which costs asyncio's
    reader the data that it holds.
    """
    read = connection.read

    def read_or_end(*where: Any) -> Any:
        try:
            return read(*where)
        except ssl.SSLZeroReturnError:
            return b""

    connection.read = read_or_end
