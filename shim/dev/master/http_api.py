"""What the embedded master answers over HTTP: calls of schedulers and operators, and its pages."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from shim import limits
from shim.dev.master import frameworks, operator_api, pages, scheduler_api
from shim.dev.master.scheduler_api import Refused
from shim.dev.master.state import VERSION, World
from shim.dev.master.streams import EventStreams, pour
from shim.dev.master.v1json import Json


class Deciding(Protocol):
    """The master behind the API."""

    @property
    def world(self) -> World: ...

    def decide(self, decide: Callable[[World], None]) -> None:
        """Let it change the world, and carry out what follows from that."""


class HttpApi:
    def __init__(self, master: Deciding, streams: EventStreams) -> None:
        self._master = master
        self._streams = streams

    def add_routes(self, app: web.Application) -> None:
        for prefix in ("", "/master"):
            app.router.add_get(f"{prefix}/health", self._health)
            app.router.add_get(f"{prefix}/redirect", self._redirect)
            for name, page in _PAGES.items():
                app.router.add_get(f"{prefix}/{name}", self._page(page))
            app.router.add_post(f"{prefix}/api/v1/scheduler", _refusing(self._scheduler))
            app.router.add_post(f"{prefix}/api/v1", _refusing(self._operator))
        app.router.add_get("/", self._home)

    @web.middleware
    async def while_alive(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Where a real master would have aborted, nothing but ``/health`` answers."""
        aborted = self._master.world.aborted
        if aborted and not request.path.endswith("/health"):
            return web.Response(status=503, text=aborted)
        response: web.StreamResponse = await handler(request)
        return response

    async def _health(self, request: web.Request) -> web.Response:
        aborted = self._master.world.aborted
        return web.Response(status=500, text=aborted) if aborted else web.Response()

    async def _redirect(self, request: web.Request) -> web.Response:
        ip, port = self._master.world.pid.address
        return web.Response(status=307, headers={"Location": f"//{ip}:{port}"})

    async def _home(self, request: web.Request) -> web.Response:
        return web.Response(text=pages.HOME, content_type="text/html")

    def _page(self, page: Callable[[World], Json]) -> Any:
        async def handler(request: web.Request) -> web.Response:
            return web.json_response(page(self._master.world))

        return handler

    # ---- calls -----------------------------------------------------------------------------

    async def _operator(self, request: web.Request) -> web.StreamResponse:
        call = await _call(request)
        return self._decide(lambda world: operator_api.carry_out(world, call))

    async def _scheduler(self, request: web.Request) -> web.StreamResponse:
        call = await _call(request)
        if call.get("type") == "SUBSCRIBE":
            return await self._subscribe(request, call)
        stream_id = request.headers.get("Mesos-Stream-Id")
        return self._decide(lambda world: scheduler_api.carry_out(world, call, stream_id))

    def _decide(self, decide: Callable[[World], int]) -> web.Response:
        statuses: list[int] = []
        self._master.decide(lambda world: statuses.append(decide(world)))
        return web.Response(status=statuses[0])

    async def _subscribe(self, request: web.Request, call: Json) -> web.StreamResponse:
        wanted = scheduler_api.subscription(call)
        if "Mesos-Stream-Id" in request.headers:
            raise Refused(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
        stream_id = str(uuid.uuid4())
        response = web.StreamResponse(
            headers={"Mesos-Stream-Id": stream_id, "Content-Type": "application/json"}
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        queue = self._streams.open(stream_id)
        suppressed = set(wanted.suppressed)
        try:
            self._master.decide(
                lambda world: frameworks.subscribe(world, stream_id, wanted.info, suppressed)
            )
            await pour(queue, response)
        finally:
            self._streams.close(stream_id)
            self._master.decide(lambda world: frameworks.stream_lost(world, stream_id))
        return response


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _refusing(handler: _Handler) -> _Handler:
    """The handler, what it refuses answered."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return web.Response(status=refused.status, text=refused.text)
        except RecursionError:
            # From the parser, or from whatever walks what it let pass.
            return web.Response(status=400, text="Failed to parse body into JSON: nested too deep")

    return answer


async def _call(request: web.Request) -> Json:
    if request.content_type != "application/json":
        raise Refused(415, "Expecting 'Content-Type' of application/json")
    body = await request.clone(client_max_size=limits.MESSAGE_BYTES).read()
    try:
        call = json.loads(body)
    except ValueError as error:
        raise Refused(400, f"Failed to parse body into JSON: {error}") from None
    if not isinstance(call, dict):
        raise Refused(400, "Failed to convert JSON into Call protobuf: not an object")
    return call


def _version(world: World) -> Json:
    return {"version": VERSION, "build_user": "mesos-shim development master"}


_PAGES: dict[str, Callable[[World], Json]] = {
    "state": pages.state,
    "state.json": pages.state,
    "slaves": pages.slaves,
    "tasks": pages.tasks,
    "tasks.json": pages.tasks,
    "frameworks": pages.frameworks,
    "version": _version,
}
