"""What a connection to Triton costs in memory, and the maintenance that it announces."""

from __future__ import annotations

import time
from asyncio.sslproto import SSLProtocol
from typing import Any

import pytest

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


async def test_a_maintenance_is_shown_until_its_announced_end(
    engine: TritonEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = engine._http
    assert engine.maintenance == ""
    http.error("create", 500, b"out of order", {})
    assert engine.maintenance == ""
    http.error("create", 503, b"Back soon", {"Retry-After": "3600"})
    assert engine.maintenance.startswith("Back soon, until ")
    http.error("stop", 503, b"Back soon", {})
    later = time.monotonic() + limits.TRITON_MAINTENANCE_SHOWN + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert engine.maintenance == ""


def _check(transport: Any) -> None:
    protocol = transport._ssl_protocol
    assert len(protocol._ssl_buffer) == len(protocol.get_buffer(-1)) == limits.TRITON_TLS_BUFFER
