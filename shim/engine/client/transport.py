"""HTTP to one Docker endpoint: two connection pools, a time limit per call, one mapping of errors.

Plain aiohttp rather than aiodocker. Measured side by side (create + start of a busybox without
network, two cores, medians of three interleaved rounds, aiodocker / aiohttp):

    concurrent   containers per second   p50 in ms
       1           3.3 / 3.4           282 / 290
       4           5.9 / 6.5           674 / 576
       8           6.9 / 5.8          1060 / 1293
      16           5.9 / 6.2          2262 / 2104

The two are equal, because the daemon takes the time. The limits of aiodocker 0.27 decide: a pull
or event stream whose connection breaks ends as if it were complete; registry credentials for
Docker Hub are refused; logs lose their stream and time; an archive is read whole whatever its
size; create has no ``platform``.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from shim import limits
from shim.engine.client.endpoint import Endpoint
from shim.engine.client.errors import error_for
from shim.engine.client.guard import MayAct, always, request_class
from shim.errors import Permanent, ShimError, Transient, error_text
from shim.model.json_text import load_json

API_NEWEST = (1, 51)
"""The newest Docker API that this code is written against. A newer engine is asked to speak it."""
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def time_limit(total: float | None = None, *, idle: float | None = None) -> aiohttp.ClientTimeout:
    """``total`` seconds for the whole call, ``idle`` seconds between two pieces of its answer."""
    return aiohttp.ClientTimeout(
        total=total, sock_connect=limits.ENGINE_CONNECT_TIMEOUT, sock_read=idle
    )


QUICK = time_limit(limits.ENGINE_CALL_TIMEOUT)
WORK = time_limit(limits.ENGINE_WORK_TIMEOUT)
STREAM = time_limit(idle=limits.ENGINE_STREAM_IDLE)
ARCHIVE = time_limit(limits.ENGINE_ARCHIVE_TIMEOUT)

NETWORK_ERRORS = (aiohttp.ClientError, OSError, HttpProcessingError)
"""What aiohttp raises when a request gets no complete answer; a TimeoutError is an OSError."""


def explain(error: BaseException) -> str:
    """Why one of :data:`NETWORK_ERRORS` left a request without an answer, in words for people."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return unreachable(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, HttpProcessingError):
        # Such as a line of a stream that is too long: an event repeats its container's labels.
        return error.message
    return error_text(error)


def unreachable(error: aiohttp.ClientConnectorError) -> str:
    """Why there is no connection. aiohttp's own text contains the repr of a Python object."""
    cause = error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate does not verify: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) or not cause.errno or cause.errno < 0:
        return f"cannot be reached: {cause.strerror or cause}"
    return f"cannot be reached: {os.strerror(cause.errno)}"


class Transport:
    """Calls to one Docker endpoint. Short calls never queue behind long ones for a connection.

    A subclass for another kind of endpoint overrides the methods of the middle section.
    """

    unanswered: ClassVar[type[Transient]] = Transient
    """Raised when a request may have arrived but its answer did not."""

    def __init__(
        self,
        endpoint: Endpoint,
        connections: int = limits.ENGINE_CONNECTIONS,
        may_act: MayAct = always,
    ) -> None:
        """Needs a running loop; opens no connection yet."""
        self.endpoint = endpoint
        self._short = aiohttp.ClientSession(
            connector=self._connector(connections), request_class=request_class(may_act)
        )
        self._long = aiohttp.ClientSession(
            connector=self._connector(limits.ENGINE_LONG_CONNECTIONS),
            request_class=request_class(may_act),
        )
        self.api_version = ""
        """Such as ``1.41``; empty until :meth:`version` has negotiated it."""

    def __str__(self) -> str:
        return str(self.endpoint)

    async def version(self) -> Mapping[str, Any]:
        """The answer of ``GET /version``. From now on the newest API both sides know is spoken."""
        answer = await self.json("version", "GET", "/version", versioned=False)
        with parsing("version"):
            newest = tuple(int(part) for part in answer["ApiVersion"].split("."))
            self.api_version = ".".join(str(part) for part in min(newest, API_NEWEST))
            return dict(answer)

    @asynccontextmanager
    async def open(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout | None = None,
        long: bool = False,
        versioned: bool = True,
        session: aiohttp.ClientSession | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, its body still unread. An answer of 4xx or 5xx is raised as its meaning.

        ``verb`` (``create``, ``start``, ...) begins error texts. ``long`` takes the connection
        from the pool for calls that last. ``versioned`` puts the API version before ``path``.
        """
        prefix = await self._version_prefix() if versioned else ""
        session = session or (self._long if long else self._short)
        try:
            async with session.request(
                method,
                f"{self.endpoint.url}{prefix}{path}",
                ssl=self._tls(),
                timeout=timeout or self._default_timeout(method),
                **kwargs,
            ) as response:
                if response.status >= 400:
                    body = await response.content.read(limits.ENGINE_ERROR_BYTES)
                    raise self.error(verb, response.status, body, response.headers)
                yield response
        except NETWORK_ERRORS as error:
            # Without a connection the request certainly did not arrive.
            connected = not isinstance(error, aiohttp.ClientConnectorError)
            family = self.unanswered if connected else Transient
            if isinstance(error, TimeoutError):
                raise family(f"{verb}: no answer from {self} in time") from None
            raise family(f"{verb}: {self}: {explain(error)}") from None

    async def call(self, verb: str, method: str, path: str, **kwargs: Any) -> bytes:
        """The answer's whole body. Raises Transient, or the meaning of a 4xx or 5xx."""
        async with self.open(verb, method, path, **kwargs) as response:
            return await read_body(response, limits.ENGINE_ANSWER_BYTES)

    async def json(self, verb: str, method: str, path: str, **kwargs: Any) -> Any:
        """The answer's JSON. Transient for anything else, such as the page of a proxy."""
        body = await self.call(verb, method, path, **kwargs)
        try:
            return load_json(body)
        except ValueError:
            raise Transient(
                f"{verb}: the endpoint's answer is not Docker's: {body[:200]!r}"
            ) from None

    async def upgrade(
        self, verb: str, path: str, body: Any = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own that carries raw bytes: a POST asks the endpoint for it.

        ``body`` becomes JSON. An answer of 4xx or 5xx is raised as its meaning.
        """
        prefix = await self._version_prefix()
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"POST {prefix}{path} HTTP/1.1\r\nHost: {urlsplit(self.endpoint.url).netloc}\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(limits.ENGINE_CONNECT_TIMEOUT):
                reader, writer = await self._raw_connection()
        except (OSError, TimeoutError) as error:
            raise Transient(f"{verb}: {self}: {error_text(error)}") from None
        writer.write(head.encode() + content)
        try:
            async with asyncio.timeout(self._default_timeout("POST").total):
                status, headers = await _read_head(reader)
                if status not in (101, 200):
                    raise self.error(verb, status, await _error_body(reader, headers), headers)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            writer.transport.abort()
            raise self.unanswered(f"{verb}: {self}: {error_text(error)}") from None
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer

    async def close(self) -> None:
        await asyncio.gather(self._short.close(), self._long.close())

    # --- what differs between Docker and Triton

    def _connector(self, connections: int) -> aiohttp.BaseConnector:
        if self.endpoint.socket:
            return aiohttp.UnixConnector(self.endpoint.socket, limit=connections)
        return aiohttp.TCPConnector(limit=connections)

    def _tls(self) -> ssl.SSLContext | bool:
        """The authorities to trust on the next connection; True: those of the system."""
        return self.endpoint.tls or True

    async def _raw_connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.endpoint.socket:
            return await asyncio.open_unix_connection(self.endpoint.socket)
        parts = urlsplit(self.endpoint.url)
        secure = self._tls() if parts.scheme == "https" else None
        return await asyncio.open_connection(parts.hostname, parts.port, ssl=secure)

    async def _version_prefix(self) -> str:
        if not self.api_version:
            await self.version()
        return f"/v{self.api_version}"

    def _default_timeout(self, method: str) -> aiohttp.ClientTimeout:
        return QUICK if method == "GET" else WORK

    def error(self, verb: str, status: int, body: bytes, headers: Mapping[str, str]) -> ShimError:
        """What an answer of 4xx or 5xx means."""
        return error_for(verb, status, body, headers)


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, at most ``limit`` bytes; Permanent beyond."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise Permanent(f"{response.url.path}: the answer has more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, CIMultiDict[str]]:
    """Status and headers of an answer. ValueError if it is not HTTP."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    protocol, _, rest = first.partition(" ")
    if not protocol.startswith("HTTP/1."):
        raise ValueError(f"the endpoint's answer is not HTTP: {first!r:.100}")
    fields = (line.partition(":") for line in lines)
    return int(rest[:3]), CIMultiDict((name.strip(), value.strip()) for name, _, value in fields)


async def _error_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """As much of an error's body as is shown. The connection is of no further use."""
    length = headers.get("Content-Length", "")
    if length.isdigit():
        return await reader.readexactly(min(int(length), limits.ENGINE_ERROR_BYTES))
    return await reader.read(limits.ENGINE_ERROR_BYTES)


@contextmanager
def parsing(verb: str) -> Iterator[None]:
    """Raises Transient for an answer that lacks what Docker's has: another server may have sent it.

    To be put around the code that takes the answer apart.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Transient(f"{verb}: the endpoint's answer is not Docker's: {error!r}") from None


async def json_lines(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """A stream of JSON objects, one per line."""
    async for line in response.content:
        if line.strip():
            with parsing("stream"):
                piece = dict(load_json(line))
            yield piece


def as_list(answer: Any) -> list[Any]:
    """A JSON list as it came. TypeError for anything else.

    An empty object must not pass for an empty list: every container would count as removed.
    """
    if not isinstance(answer, list):
        raise TypeError(f"{answer!r:.100} is not a list")
    return answer


def without_empty(params: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def container_path(name: str) -> str:
    return f"/containers/{quote(name, safe='')}"


def escape_url(text: str) -> str:
    """A URL as a user wrote it. Only blanks, control and non-ASCII characters are escaped."""
    return quote(text, safe=_PRINTABLE)
