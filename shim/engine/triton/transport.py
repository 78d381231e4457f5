"""HTTPS to Triton: a fixed API version, and the newest client certificate on each connection."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from typing import Any

import aiohttp

from shim import limits
from shim.engine.client.endpoint import Endpoint
from shim.engine.client.guard import MayAct, always, request_class
from shim.engine.client.transport import Transport, time_limit
from shim.engine.triton.errors import error_for
from shim.engine.triton.login import ClientLogin
from shim.errors import ShimError, Transient

VERSION = "/v1.21"
"""Triton serves API 1.21 whatever version it is asked for, and offers nothing to negotiate with."""
CALL = time_limit(limits.TRITON_CALL_TIMEOUT)
DNS_CACHE_SECONDS = 60


class AnswerLost(Transient):
    """The request may have arrived; its answer did not."""


class TritonTransport(Transport):
    """Calls to one datacenter's endpoint."""

    unanswered = AnswerLost

    def __init__(self, url: str, login: ClientLogin, may_act: MayAct = always) -> None:
        """Needs a running loop; opens no connection yet. ``url`` is ``https://host:port``."""
        super().__init__(Endpoint(url, url), may_act=may_act)
        self.login = login
        self._maintenance = ("", 0.0)
        """What the last 503 said, and how long it is shown (monotonic)."""
        self.creates = aiohttp.ClientSession(
            connector=SmallBufferConnector(
                limit=0, force_close=True, ttl_dns_cache=DNS_CACHE_SECONDS
            ),
            trace_configs=[_call_when_sent()],
            request_class=request_class(may_act),
        )
        """Creates, whose number :class:`~shim.engine.triton.creates.CreateTracker` limits."""

    async def close(self) -> None:
        await asyncio.gather(super().close(), self.creates.close())

    def error(self, verb: str, status: int, body: bytes, headers: Mapping[str, str]) -> ShimError:
        """What an answer of 4xx or 5xx means. A 401 names the certificate and how to renew it."""
        renewal = self.login.renewal if status == 401 else ""
        error = error_for(verb, status, body, headers, str(self.login), renewal)
        if status == 503 and isinstance(error, Transient):
            lasts = max(error.retry_after or 0.0, limits.TRITON_MAINTENANCE_SHOWN)
            self._maintenance = (str(error), time.monotonic() + lasts)
        return error

    @property
    def maintenance(self) -> str:
        """What the endpoint said when it refused work for all, until the announced end."""
        text, until = self._maintenance
        return text if time.monotonic() < until else ""

    def _connector(self, connections: int) -> aiohttp.BaseConnector:
        return SmallBufferConnector(limit=connections, ttl_dns_cache=DNS_CACHE_SECONDS)

    def _tls(self) -> ssl.SSLContext:
        return self.login.context()

    async def _raw_connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await super()._raw_connection()
        shrink_read_buffer(writer.transport)
        return reader, writer

    async def _version_prefix(self) -> str:
        return VERSION

    def _default_timeout(self, method: str) -> aiohttp.ClientTimeout:
        return CALL


class SmallBufferConnector(aiohttp.TCPConnector):
    """Connections whose TLS layer reads into a buffer of :data:`limits.TRITON_TLS_BUFFER` bytes."""

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **kwargs)
        shrink_read_buffer(connection.transport)
        return connection


def shrink_read_buffer(transport: asyncio.BaseTransport | None) -> None:
    """Give one TLS connection a read buffer of :data:`limits.TRITON_TLS_BUFFER` bytes.

    asyncio allocates 256 KiB per connection, of which a create that waits for its answer uses
    nothing. The size is an attribute of asyncio's private ``SSLProtocol``, so each connection is
    changed by itself, once its handshake is over. A transport without that attribute keeps
    its larger buffer.
    """
    protocol: Any = getattr(transport, "_ssl_protocol", None)
    if protocol is not None and protocol.max_size > limits.TRITON_TLS_BUFFER:
        protocol.max_size = limits.TRITON_TLS_BUFFER
        # Bytes are moved out of the buffer in the same loop iteration that reads them into it.
        protocol._ssl_buffer = bytearray(limits.TRITON_TLS_BUFFER)
        protocol._ssl_buffer_view = memoryview(protocol._ssl_buffer)


def _call_when_sent() -> aiohttp.TraceConfig:
    """Calls a request's ``trace_request_ctx`` when its body is handed to the connection."""

    async def sent(_: Any, context: Any, __: Any) -> None:
        context.trace_request_ctx()

    config = aiohttp.TraceConfig()
    config.on_request_chunk_sent.append(sent)
    return config
