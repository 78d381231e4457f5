"""HTTP to one Docker endpoint: two pools of connections, a time limit for each call, one mapping
of aiohttp's exceptions.

Plain aiohttp rather than aiodocker. Measured side by side (create + start of a busybox without
network, two cores, medians of three interleaved rounds, aiodocker / aiohttp):

    at once   containers per second   p50 in ms
       1           3.3 / 3.4           282 / 290
       4           5.9 / 6.5           674 / 576
       8           6.9 / 5.8          1060 / 1293
      16           5.9 / 6.2          2262 / 2104

that is, equal: the daemon is what takes the time. What decides are limits of aiodocker 0.27: a
pull or event stream whose connection breaks ends as if it were complete; registry credentials
for Docker Hub are refused; logs lose their stream and time; an archive is read whole whatever
its size; create has no ``platform``.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, BinaryIO
from urllib.parse import quote

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from shim import limits
from shim.engine.client.endpoint import Endpoint
from shim.engine.client.errors import refusal
from shim.errors import Permanent, Transient, error_text


def timeout(total: float | None = None, *, idle: float | None = None) -> aiohttp.ClientTimeout:
    """``total`` seconds for the whole call, ``idle`` between two pieces of its answer."""
    return aiohttp.ClientTimeout(
        total=total, sock_connect=limits.ENGINE_CONNECT_TIMEOUT, sock_read=idle
    )


QUICK = timeout(limits.ENGINE_CALL_TIMEOUT)
WORK = timeout(limits.ENGINE_WORK_TIMEOUT)
STREAM = timeout(idle=limits.ENGINE_STREAM_IDLE)
ARCHIVE = timeout(limits.ENGINE_ARCHIVE_TIMEOUT)


class Transport:
    """Calls to one endpoint. Calls that wait for people never keep short ones waiting."""

    def __init__(self, endpoint: Endpoint, connections: int = limits.ENGINE_CONNECTIONS) -> None:
        """Needs a running loop; opens no connection yet."""
        self.endpoint = endpoint
        self._short = _session(endpoint, connections)
        self._long = _session(endpoint, limits.ENGINE_LONG_CONNECTIONS)

    @asynccontextmanager
    async def open(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        limit: aiohttp.ClientTimeout = QUICK,
        long: bool = False,
        **kwargs: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer with its body still to be read; a refusal is raised as what it means."""
        session = self._long if long else self._short
        url = f"{self.endpoint.url}{path}"
        try:
            async with session.request(method, url, timeout=limit, **kwargs) as response:
                if response.status >= 400:
                    body = await response.content.read(limits.ENGINE_ERROR_BYTES)
                    raise refusal(verb, response.status, body, response.headers)
                yield response
        except aiohttp.ClientConnectorError as error:
            raise Transient(f"{verb}: {self.endpoint}: {unreachable(error)}") from None
        except TimeoutError:
            raise Transient(f"{verb}: no answer from {self.endpoint} in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"{verb}: {self.endpoint}: {error_text(error)}") from None
        except HttpProcessingError as error:
            # A line of a stream that is too long: an event repeats all labels of its container.
            raise Transient(f"{verb}: {self.endpoint}: {error.message}") from None

    async def call(self, verb: str, method: str, path: str, **kwargs: Any) -> bytes:
        """The answer's whole body. Raises Transient, or what the refusal means."""
        async with self.open(verb, method, path, **kwargs) as response:
            return await read(response, limits.ENGINE_ANSWER_BYTES)

    async def close(self) -> None:
        await asyncio.gather(self._short.close(), self._long.close())


def unreachable(error: aiohttp.ClientConnectorError) -> str:
    """Why there is no connection. aiohttp's own text shows people an object of Python's."""
    cause = error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate does not verify: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) or not cause.errno or cause.errno < 0:
        return f"cannot be reached: {cause.strerror or cause}"
    return f"cannot be reached: {os.strerror(cause.errno)}"


async def read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, at most ``limit`` bytes; Permanent beyond."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise Permanent(f"{response.url.path}: the answer has more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


@contextmanager
def understood(verb: str) -> Iterator[None]:
    """Around what takes an answer apart: one that is not Docker's is no answer at all."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Transient(f"{verb}: the endpoint's answer is not Docker's: {error!r}") from None


async def json_lines(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """A stream of JSON objects, one a line."""
    async for line in response.content:
        if line.strip():
            with understood("stream"):
                piece = dict(json.loads(line))
            yield piece


def array(answer: Any) -> list[Any]:
    """A list as it came. TypeError for anything else: an empty object is no word that nothing is
    there, and everything would be taken for gone."""
    if not isinstance(answer, list):
        raise TypeError(f"{answer!r:.100} is not a list")
    return answer


def without_empty(params: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def container_path(name: str) -> str:
    return f"/containers/{quote(name, safe='')}"


def upload(path: str, tar: bytes | BinaryIO) -> dict[str, Any]:
    """The call that unpacks ``tar`` at ``path``, as arguments of ``call``."""
    return {
        "params": {"path": path},
        "data": tar,
        "headers": {"Content-Type": "application/x-tar"},
        "limit": ARCHIVE,
        "long": True,
    }


def exec_body(argv: Sequence[str], env: Mapping[str, str]) -> dict[str, Any]:
    return {
        "Cmd": list(argv),
        "Env": [f"{key}={value}" for key, value in env.items()],
        "AttachStdout": True,
        "AttachStderr": True,
    }


@asynccontextmanager
async def exec_within(seconds: float, argv: Sequence[str]) -> AsyncIterator[None]:
    """Transient for an exec that takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Transient(f"exec: {argv[0]!r} has not ended after {seconds:g} s") from None


def _session(endpoint: Endpoint, connections: int) -> aiohttp.ClientSession:
    connector: aiohttp.BaseConnector
    if endpoint.socket:
        connector = aiohttp.UnixConnector(endpoint.socket, limit=connections)
    else:
        connector = aiohttp.TCPConnector(ssl=endpoint.tls or True, limit=connections)
    return aiohttp.ClientSession(connector=connector, trust_env=False)
