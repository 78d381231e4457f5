"""What the embedded master answers over HTTP: calls of schedulers and operators, and its pages."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from shim import limits
from shim.dev.master import frameworks, operator_api, scheduler_api, state_json
from shim.dev.master.event_streams import EventStreams, write_events
from shim.dev.master.master_state import VERSION, MasterState
from shim.dev.master.scheduler_api import CallRejected
from shim.http.responses import json_stream
from shim.http.router import send
from shim.http.time_slicer import TimeSlice, TimeSlicer, json_tree
from shim.model.v1_json import Json


class MasterAccess(Protocol):
    """The master as the API needs it."""

    @property
    def state(self) -> MasterState: ...

    def change(self, change: Callable[[MasterState], None]) -> None:
        """Apply ``change`` to the state, and carry out the effects."""


class HttpApi:
    def __init__(self, master: MasterAccess, streams: EventStreams) -> None:
        self._master = master
        self._streams = streams
        self._time_slicer = TimeSlicer()

    def add_routes(self, app: web.Application) -> None:
        for prefix in ("", "/master"):
            app.router.add_get(f"{prefix}/health", self._health)
            app.router.add_get(f"{prefix}/redirect", self._redirect)
            for name, page in _PAGES.items():
                app.router.add_get(f"{prefix}/{name}", self._page(page))
            app.router.add_post(f"{prefix}/api/v1/scheduler", _with_errors(self._scheduler))
            app.router.add_post(f"{prefix}/api/v1", _with_errors(self._operator))
        app.router.add_get("/", self._home)

    @web.middleware
    async def unless_aborted(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """After an abort only ``/health`` answers."""
        aborted = self._master.state.aborted
        if aborted and not request.path.endswith("/health"):
            return web.Response(status=503, text=aborted)
        response: web.StreamResponse = await handler(request)
        return response

    async def _health(self, request: web.Request) -> web.Response:
        aborted = self._master.state.aborted
        return web.Response(status=500, text=aborted) if aborted else web.Response()

    async def _redirect(self, request: web.Request) -> web.Response:
        ip, port = self._master.state.pid.address
        return web.Response(status=307, headers={"Location": f"//{ip}:{port}"})

    async def _home(self, request: web.Request) -> web.Response:
        """The live page of the only agent; else what this master is, with a link to each."""
        agents = list(self._master.state.agents.values())
        links = {
            f"{request.scheme}://{agent.pid.ip}:{agent.pid.port}/": agent.info.hostname
            for agent in agents
        }
        if len(links) == 1:
            return web.Response(status=307, headers={"Location": next(iter(links))})
        return web.Response(text=state_json.home(links), content_type="text/html")

    def _page(self, page: _StatePage) -> Any:
        async def handler(request: web.Request) -> web.StreamResponse:
            time_slice = self._time_slicer.begin()
            pieces = json_tree(page(self._master.state, time_slice), time_slice)
            return await send(request, json_stream(pieces))

        return handler

    # ---- calls -----------------------------------------------------------------------------

    async def _operator(self, request: web.Request) -> web.StreamResponse:
        call = await _call(request)
        return self._change(lambda state: operator_api.carry_out(state, call))

    async def _scheduler(self, request: web.Request) -> web.StreamResponse:
        call = await _call(request)
        if call.get("type") == "SUBSCRIBE":
            return await self._subscribe(request, call)
        stream_id = request.headers.get("Mesos-Stream-Id")
        return self._change(lambda state: scheduler_api.carry_out(state, call, stream_id))

    def _change(self, change: Callable[[MasterState], int]) -> web.Response:
        statuses: list[int] = []
        self._master.change(lambda state: statuses.append(change(state)))
        return web.Response(status=statuses[0])

    async def _subscribe(self, request: web.Request, call: Json) -> web.StreamResponse:
        wanted = scheduler_api.subscription(call)
        if "Mesos-Stream-Id" in request.headers:
            raise CallRejected(
                400, "Subscribe calls should not include the 'Mesos-Stream-Id' header"
            )
        stream_id = str(uuid.uuid4())
        response = web.StreamResponse(
            headers={"Mesos-Stream-Id": stream_id, "Content-Type": "application/json"}
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        queue = self._streams.open(stream_id)
        suppressed = set(wanted.suppressed)
        try:
            self._master.change(
                lambda state: frameworks.subscribe(state, stream_id, wanted.info, suppressed)
            )
            await write_events(queue, response)
        finally:
            self._streams.close(stream_id)
            self._master.change(lambda state: frameworks.disconnected(state, stream_id))
        return response


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _with_errors(handler: _Handler) -> _Handler:
    """The handler, with CallRejected turned into its HTTP answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except CallRejected as refused:
            return web.Response(status=refused.status, text=refused.text)
        except RecursionError:
            # Raised by the JSON parser, or by code that walks the parsed document.
            return web.Response(status=400, text="Failed to parse body into JSON: nested too deep")

    return answer


async def _call(request: web.Request) -> Json:
    if request.content_type != "application/json":
        raise CallRejected(415, "Expecting 'Content-Type' of application/json")
    body = await request.clone(client_max_size=limits.MESSAGE_BYTES).read()
    try:
        call = json.loads(body)
    except ValueError as error:
        raise CallRejected(400, f"Failed to parse body into JSON: {error}") from None
    if not isinstance(call, dict):
        raise CallRejected(400, "Failed to convert JSON into Call protobuf: not an object")
    return call


def _version(state: MasterState, time_slice: TimeSlice) -> Json:
    return {"version": VERSION, "build_user": "mesos-shim development master"}


_StatePage = Callable[[MasterState, TimeSlice], Json]
"""An object; its iterators are arrays."""

_PAGES: dict[str, _StatePage] = {
    "state": state_json.state,
    "state.json": state_json.state,
    "slaves": state_json.slaves,
    "tasks": state_json.tasks,
    "tasks.json": state_json.tasks,
    "frameworks": state_json.frameworks,
    "version": _version,
}
