"""From a request to its page and back: paths, passwords, JSONP and gzip.

Paths are found as at a stock agent: with and without ``/slave(1)``, with the ``.json`` that old
tools append, and with any further segments behind them.
"""

from __future__ import annotations

import asyncio
import logging
import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from itertools import chain

from aiohttp import web

from shim import limits
from shim.http.basic_auth import READONLY, BasicAuth
from shim.http.exposition import exposition
from shim.http.pages import Page
from shim.http.responses import HttpError, Response
from shim.http.task_metrics import TaskMetrics
from shim.http.time_slicer import TimeSlicer, coalesce
from shim.telemetry.metrics import Metrics

Api = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""Reads the whole request and writes its answer itself, passwords and errors included."""

WITHOUT_PASSWORD = frozenset({"/health", "/leader", "/version"})
"""Pages that never need a password: those of a stock agent, and one for proxies."""

log = logging.getLogger(__name__)

ROOT = "/"

_CALLBACK = re.compile(r"[A-Za-z0-9_.$]{1,200}")
_GZIP_FROM = 1024
"""Bytes. Smaller answers are not compressed, as by a stock agent."""
_GZIP_LEVEL = 1


class Router:
    """Answers all requests on the agent's port that are not libprocess messages."""

    def __init__(
        self,
        pages: Mapping[str, Page],
        metrics: Metrics,
        auth: BasicAuth,
        process: str,
        apis: Mapping[str, Api] | None = None,
        task_metrics: TaskMetrics | None = None,
        time_slicer: TimeSlicer | None = None,
    ) -> None:
        """``pages`` and ``apis`` map paths without prefix; ``process`` is ``slave(1)``.

        ``time_slicer`` is that of the pages; None: there are none with tasks.
        """
        self._pages = pages
        self._apis = apis or {}
        self._metrics = metrics
        self._task_metrics = task_metrics
        self._time_slicer = time_slicer or TimeSlicer()
        self._auth = auth
        self._prefix = f"/{process}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        api = self._apis.get(request.path.removeprefix(self._prefix).rstrip("/"))
        if api is not None:
            return await api(request)
        try:
            if self._is_prometheus(request):
                return await self._prometheus(request)
            path = self._find(request.path)
            if path not in WITHOUT_PASSWORD:
                self._check_password(request)
            callback = _callback(request.query)
            response = await self._pages[path](request.query)
        except HttpError as error:
            return refusal(error)
        return await send(request, response, callback)

    def _find(self, path: str) -> str:
        """The longest path with a page that ``path`` begins with. Raises HttpError (404)."""
        if "/.." in path:
            raise HttpError(404)
        path = path.removeprefix(self._prefix).rstrip("/")
        if not path and ROOT in self._pages:
            return ROOT
        while path:
            if (name := path.removesuffix(".json")) in self._pages:
                return name
            path = path.rpartition("/")[0]
        raise HttpError(404)

    def _check_password(self, request: web.Request) -> None:
        self._auth.check(READONLY, request.headers.get("Authorization", ""))

    def _is_prometheus(self, request: web.Request) -> bool:
        is_read = request.method in ("GET", "HEAD")
        return is_read and request.path.removeprefix(self._prefix) == "/metrics"

    async def _prometheus(self, request: web.Request) -> web.Response:
        self._check_password(request)
        accept = request.headers.get("Accept", "")
        families = self._metrics.registry.collect()
        if self._task_metrics is not None:
            families = chain(families, await self._task_metrics.families())
        body, content_type = await exposition(families, accept, self._time_slicer.begin())
        return web.Response(body=body, headers={"Content-Type": content_type})


# --- sending ------------------------------------------------------------------------------------


def refusal(error: HttpError) -> web.Response:
    """The answer is the last one of its connection: who is refused waits, or comes with another
    request, and keeps no connection meanwhile."""
    response = web.Response(status=error.status, text=error.text, headers=error.headers)
    response.force_close()
    return response


def _callback(query: Mapping[str, str]) -> str:
    """The JSONP function, or an empty string. Raises HttpError (400)."""
    name = query.get("jsonp", "")
    if name and not _CALLBACK.fullmatch(name):
        raise HttpError(400, f"jsonp={name!r} is not the name of a function\n")
    return name


async def send(request: web.Request, response: Response, callback: str = "") -> web.StreamResponse:
    """Write the answer, compressed if the client likes; ``callback`` is a JSONP function."""
    headers = {**response.headers, "X-Content-Type-Options": "nosniff"}
    body = response.body
    if callback and response.is_json:
        headers["Content-Type"] = "text/javascript"
        if isinstance(body, bytes):
            body = b"%s(%s)" % (callback.encode(), body)
        else:
            body = _call(callback.encode(), body)
    if isinstance(body, bytes):
        return await _whole(request, response.status, headers, body)
    if response.is_event_stream:
        return await _stream(request, response.status, headers, body)
    compress = response.is_json and _accepts_gzip(request)
    if compress:
        headers["Content-Encoding"] = "gzip"
        return await _stream(request, response.status, headers, _gzip(coalesce(body)))
    return await _stream(request, response.status, headers, coalesce(body))


async def _stream(
    request: web.Request, status: int, headers: dict[str, str], body: AsyncIterator[bytes]
) -> web.StreamResponse:
    stream = web.StreamResponse(status=status, headers=headers)
    await stream.prepare(request)
    pieces = unless_stuck(request, body)
    try:
        async for piece in pieces:
            await stream.write(piece)
        await stream.write_eof()
    except ConnectionError as error:
        log.debug("%s: the reader is gone: %s", request.path, error)
    finally:
        # A reader that is gone ends the page at once, and not when it is collected as garbage.
        await pieces.aclose()
    return stream


async def unless_stuck(
    request: web.Request, pieces: AsyncIterator[bytes]
) -> AsyncGenerator[bytes, None]:
    """The same pieces, and the connection cut when its reader takes none of them for a minute.

    The time between two requests for a piece is that of the write: a reader that is connected
    and reads nothing would keep what its page is made of, or its place among the streams, for
    ever.
    """
    loop = asyncio.get_running_loop()
    try:
        async for piece in pieces:
            stuck = loop.call_later(limits.STREAM_WRITE_TIMEOUT, _cut, request)
            try:
                yield piece
            finally:
                stuck.cancel()
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


def _cut(request: web.Request) -> None:
    log.debug("%s: the reader takes nothing: cut off", request.path)
    if request.transport is not None:
        request.transport.abort()


async def _whole(
    request: web.Request, status: int, headers: dict[str, str], body: bytes
) -> web.StreamResponse:
    if len(body) >= _GZIP_FROM and _accepts_gzip(request):
        headers["Content-Encoding"] = "gzip"
        if len(body) < limits.PAGE_SLICE_BYTES:
            body = zlib.compress(body, _GZIP_LEVEL, wbits=31)
        else:
            body = await asyncio.to_thread(zlib.compress, body, _GZIP_LEVEL, 31)
    return web.Response(status=status, headers=headers, body=body)


def _accepts_gzip(request: web.Request) -> bool:
    return "gzip" in request.headers.get("Accept-Encoding", "")


async def _call(callback: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield callback + b"("
    async for piece in body:
        yield piece
    yield b")"


async def _gzip(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Compresses in a thread: megabytes would block the event loop."""
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=31)
    async for piece in body:
        if compressed := await asyncio.to_thread(compressor.compress, piece):
            yield compressed
    yield compressor.flush()
