"""All pages on the agent's port, beside the master's messages: routes, JSONP, gzip, passwords.

Paths are found as at a stock agent: with and without ``/slave(1)``, with the ``.json`` that old
tools still add, whatever stands behind them. Before the agent knows its tasks, pages that tell of
them say 503.
"""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from shim.http.auth import READONLY, BasicAuth
from shim.http.files import FilesPages
from shim.http.health import troubles, troubles_at_start
from shim.http.log_ring import LogRing
from shim.http.metrics_snapshot import snapshot
from shim.http.protojson import Json
from shim.http.responses import Refusal, Response, json_response, json_stream
from shim.http.state import StatePage
from shim.http.statistics import StatisticsPages
from shim.http.task_json_cache import TaskJsonCache
from shim.http.time_slicer import gathered
from shim.http.version import BUILD
from shim.http.view import View
from shim.telemetry.log import Metrics

Page = Callable[[Mapping[str, str]], Awaitable[Response]]

_CALLBACK = re.compile(r"[A-Za-z0-9_.$]{1,200}")
_GZIP_FROM = 1024
"""Bytes; smaller answers are sent as they are, as by a stock agent."""
_GZIP_LEVEL = 1


@dataclass(frozen=True, slots=True)
class _Route:
    page: Page
    realm: str | None = READONLY


class Routes:
    """The pages. ``open`` once there is something to show."""

    def __init__(
        self,
        gate: BasicAuth,
        process: str,
        version: str,
        flags: Mapping[str, str],
        metrics: Metrics,
    ) -> None:
        self._gate = gate
        self._prefix = f"/{process}"
        self._version: Json = {"version": version, **BUILD}
        self._flags = flags
        self._began = time.monotonic()
        self.trouble = ""
        """Why the endpoint is still waited for, before ``open``."""
        self._metrics = metrics
        self._log = LogRing()
        self._fragments: TaskJsonCache | None = None
        self._sources: View | None = None
        self._routes: dict[str, _Route] = {
            "/health": _Route(self._health, None),
            "/version": _Route(self._show_version, None),
            "/flags": _Route(self._show_flags),
            **{path: _Route(_recovering) for path in ("/state", "/monitor/statistics")},
            **{path: _Route(_recovering) for path in ("/containers", "/metrics/snapshot")},
            **{f"/files/{name}": _Route(_recovering) for name in ("browse", "read", "download")},
        }

    def setup(self, app: web.Application) -> None:
        """Add all routes."""
        self._log.attach()
        app.router.add_get("/metrics", self._prometheus)
        app.router.add_get(f"{self._prefix}/metrics", self._prometheus)
        app.router.add_route("*", "/{path:.*}", self._handle)

    def open(self, sources: View) -> None:
        """From now on there are tasks to tell of."""
        self._sources = sources
        self._fragments = fragments = TaskJsonCache(sources)
        state = StatePage(sources, fragments)
        files = FilesPages(sources, self._log)
        statistics = StatisticsPages(sources, fragments)

        async def show_state(query: Mapping[str, str]) -> Response:
            if sources.agent.recovering:
                return await _recovering(query)
            return json_stream(state.pieces())

        async def show_snapshot(query: Mapping[str, str]) -> Response:
            return json_response(await snapshot(sources, fragments))

        pages: dict[str, Page] = {
            "/state": show_state,
            "/metrics/snapshot": show_snapshot,
            "/monitor/statistics": statistics.statistics,
            "/containers": statistics.containers,
            "/containerizer/debug": _nothing_pending,
            "/files/browse": files.browse,
            "/files/read": files.read,
            "/files/download": files.download,
            "/files/debug": files.debug,
        }
        self._routes.update({path: _Route(page) for path, page in pages.items()})

    async def run(self) -> None:
        """Keep what pages need at hand until cancelled. After ``open``."""
        assert self._fragments is not None
        await self._fragments.keep_warm()

    def close(self) -> None:
        self._log.detach()

    # --- requests -------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            route = self._find(request.path)
            self._check(route, request)
            callback = _callback(request.query)
            answer = await route.page(request.query)
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=refusal.text, headers=refusal.headers)
        return await _send(request, answer, callback)

    def _find(self, path: str) -> _Route:
        if "/.." in path:
            raise Refusal(404)
        path = path.removeprefix(self._prefix).rstrip("/")
        while path:
            if route := self._routes.get(path.removesuffix(".json")):
                return route
            path = path.rpartition("/")[0]
        raise Refusal(404)

    def _check(self, route: _Route, request: web.Request) -> None:
        if route.realm is not None:
            self._gate.check(route.realm, request.headers.get("Authorization", ""))

    # --- small pages ----------------------------------------------------------------------------

    async def _health(self, query: Mapping[str, str]) -> Response:
        if self._sources is not None:
            found = troubles(self._sources.pulse)
        else:
            found = troubles_at_start(time.monotonic() - self._began, self.trouble)
        if found:
            raise Refusal(503, "\n".join(found) + "\n")
        return Response(b"")

    async def _show_version(self, query: Mapping[str, str]) -> Response:
        return json_response(self._version)

    async def _show_flags(self, query: Mapping[str, str]) -> Response:
        return json_response({"flags": dict(self._flags)})

    async def _prometheus(self, request: web.Request) -> web.StreamResponse:
        try:
            self._gate.check(READONLY, request.headers.get("Authorization", ""))
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=refusal.text, headers=refusal.headers)
        body, content_type = self._metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


async def _recovering(query: Mapping[str, str]) -> Response:
    raise Refusal(503, "Agent has not finished recovery")


async def _nothing_pending(query: Mapping[str, str]) -> Response:
    return json_response({"pending": []})


# --- sending ------------------------------------------------------------------------------------


def _callback(query: Mapping[str, str]) -> str:
    name = query.get("jsonp", "")
    if name and not _CALLBACK.fullmatch(name):
        raise Refusal(400, f"jsonp={name!r} is no name of a function\n")
    return name


async def _send(request: web.Request, answer: Response, callback: str) -> web.StreamResponse:
    headers = {**answer.headers, "X-Content-Type-Options": "nosniff"}
    body = answer.body
    if callback and answer.is_json:
        headers["Content-Type"] = "text/javascript"
        if isinstance(body, bytes):
            body = b"%s(%s)" % (callback.encode(), body)
        else:
            body = _called(callback.encode(), body)
    if isinstance(body, bytes):
        return _whole(request, answer.status, headers, body)
    body = gathered(body)
    zips = answer.is_json and _accepts_gzip(request)
    if zips:
        headers["Content-Encoding"] = "gzip"
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for piece in _zipped(body) if zips else body:
        await response.write(piece)
    await response.write_eof()
    return response


def _whole(
    request: web.Request, status: int, headers: dict[str, str], body: bytes
) -> web.StreamResponse:
    if len(body) >= _GZIP_FROM and _accepts_gzip(request):
        headers["Content-Encoding"] = "gzip"
        body = zlib.compress(body, _GZIP_LEVEL, wbits=31)
    return web.Response(status=status, headers=headers, body=body)


def _accepts_gzip(request: web.Request) -> bool:
    return "gzip" in request.headers.get("Accept-Encoding", "")


async def _called(callback: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield callback + b"("
    async for piece in body:
        yield piece
    yield b")"


async def _zipped(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """In a thread: megabytes would hold up the loop."""
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=31)
    async for piece in body:
        if packed := await asyncio.to_thread(packer.compress, piece):
            yield packed
    yield packer.flush()
