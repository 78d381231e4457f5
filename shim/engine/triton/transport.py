"""HTTPS to Triton: API version pinned, a fresh look at the certificate for each connection, and
one mapping of aiohttp's exceptions."""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio import sslproto
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from shim import limits
from shim.engine.client.transport import read, timeout, unreachable
from shim.engine.triton.errors import refusal
from shim.engine.triton.login import ClientLogin
from shim.errors import ShimError, Transient, error_text

VERSION = "/v1.21"
"""Triton serves 1.21 whatever it is asked for, and tells nothing to negotiate with."""


CALL = timeout(limits.TRITON_CALL_TIMEOUT)


class Lost(Transient):
    """The request may have arrived; its answer did not."""


class TritonTransport:
    """Calls to one endpoint, short and long ones on pools of their own."""

    def __init__(self, url: str, login: ClientLogin) -> None:
        """Needs a running loop; opens no connection yet. ``url`` is ``https://host:port``."""
        _shrink_tls_buffers()
        self.url = url
        self.login = login
        self._short = _session(limits.ENGINE_CONNECTIONS)
        self._long = _session(limits.ENGINE_LONG_CONNECTIONS)
        self.creates = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=60),
            trace_configs=[_tell_when_sent()],
        )

    def __str__(self) -> str:
        return self.url

    @contextlib.asynccontextmanager
    async def open(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        limit: aiohttp.ClientTimeout = CALL,
        long: bool = False,
        session: aiohttp.ClientSession | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer with its body still to be read; a refusal is raised as what it means."""
        session = session or (self._long if long else self._short)
        try:
            async with session.request(
                method,
                f"{self.url}{VERSION}{path}",
                ssl=self.login.context(),
                timeout=limit,
                **kwargs,
            ) as response:
                if response.status >= 400:
                    body = await response.content.read(limits.ENGINE_ERROR_BYTES)
                    raise self.refusal(verb, response.status, body, response.headers)
                yield response
        except aiohttp.ClientConnectorError as error:
            raise Transient(f"{verb}: {self}: {unreachable(error)}") from None
        except TimeoutError:
            raise Lost(f"{verb}: no answer from {self} in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(f"{verb}: {self}: {error_text(error)}") from None
        except HttpProcessingError as error:
            # A line of a stream that is too long.
            raise Lost(f"{verb}: {self}: {error.message}") from None

    async def call(self, verb: str, method: str, path: str, **kwargs: Any) -> bytes:
        """The answer's whole body."""
        async with self.open(verb, method, path, **kwargs) as response:
            return await read(response, limits.ENGINE_ANSWER_BYTES)

    async def json(self, verb: str, method: str, path: str, **kwargs: Any) -> Any:
        """The answer's JSON. Transient when it is none: something in between answered."""
        body = await self.call(verb, method, path, **kwargs)
        try:
            return json.loads(body)
        except ValueError:
            raise Transient(f"{verb}: {self} answered {body[:200]!r}, not JSON") from None

    async def raw(
        self, path: str, body: bytes
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that ``POST``ed ``body`` and asked to have it for itself. Transient."""
        parts = urlsplit(self.url)
        head = (
            f"POST {VERSION}{path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(limits.ENGINE_CONNECT_TIMEOUT):
                reader, writer = await asyncio.open_connection(
                    parts.hostname, parts.port, ssl=self.login.context()
                )
        except (OSError, TimeoutError) as error:
            raise Transient(f"exec: {self}: {error_text(error)}") from None
        writer.write(head.encode() + body)
        return reader, writer

    def refusal(self, verb: str, status: int, body: bytes, headers: Mapping[str, str]) -> ShimError:
        """What an answer of 4xx or 5xx means to whom we are."""
        renewal = self.login.renewal if status == 401 else ""
        return refusal(verb, status, body, headers, str(self.login), renewal)

    async def close(self) -> None:
        await asyncio.gather(self._short.close(), self._long.close(), self.creates.close())


def _session(connections: int) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=connections, ttl_dns_cache=60)
    return aiohttp.ClientSession(connector=connector, trust_env=False)


def _tell_when_sent() -> aiohttp.TraceConfig:
    """Calls the request's ``trace_request_ctx`` when its body is on the way."""

    async def sent(_: Any, context: Any, __: Any) -> None:
        context.trace_request_ctx()

    config = aiohttp.TraceConfig()
    config.on_request_chunk_sent.append(sent)
    return config


def _shrink_tls_buffers() -> None:
    """For all TLS connections of this process: the class is the only place to say it."""
    protocol: Any = sslproto.SSLProtocol
    protocol.max_size = min(protocol.max_size, limits.TRITON_TLS_BUFFER)
