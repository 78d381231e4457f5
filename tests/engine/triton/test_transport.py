"""What a connection to Triton costs in memory."""

from __future__ import annotations

from asyncio.sslproto import SSLProtocol
from typing import Any

from shim import limits
from shim.engine.triton import TritonEngine


async def test_each_connection_has_a_small_read_buffer_and_the_process_default_stays(
    engine: TritonEngine,
) -> None:
    default: int = SSLProtocol.max_size
    assert await engine.list() == []
    pool: Any = engine._http._short.connector
    ((protocol, _),) = (each for connections in pool._conns.values() for each in connections)
    _check(protocol.transport)
    _, writer = await engine._http._raw_connection()
    _check(writer.transport)
    writer.transport.abort()
    assert SSLProtocol.max_size == default > limits.TRITON_TLS_BUFFER


def _check(transport: Any) -> None:
    protocol = transport._ssl_protocol
    assert len(protocol._ssl_buffer) == len(protocol.get_buffer(-1)) == limits.TRITON_TLS_BUFFER
