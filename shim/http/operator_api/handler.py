"""One request to ``/api/v1``: its checks in the order of a stock agent, and its answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aiohttp import web

from shim import limits
from shim.http.basic_auth import READWRITE, BasicAuth
from shim.http.files import FilesPages
from shim.http.operator_api.answers import answer
from shim.http.operator_api.calls import READS, TOUCHING, is_supported
from shim.http.operator_api.containers import Containers
from shim.http.operator_api.envelope import (
    RECORDIO,
    MediaTypes,
    check_streaming,
    media_types,
    parse_call,
)
from shim.http.operator_api.exec_calls import ExecCalls
from shim.http.operator_api.log_level import LogLevel
from shim.http.operator_api.processes import Processes
from shim.http.operator_api.reads import Reads
from shim.http.operator_api.rights import check_origin, check_right
from shim.http.operator_api.sessions import Sessions
from shim.http.operator_api.streams import EOF, CallRecords
from shim.http.request_body import read_body, too_large
from shim.http.responses import HttpError
from shim.http.router import refusal, send
from shim.http.task_json_cache import TaskJsonCache
from shim.http.view import View
from shim.protos.agent_pb2 import Call, Response

PATH = "/api/v1"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call."""

    auth: BasicAuth
    may_touch: bool
    """The right to exec, kill and change the log level."""
    names: Collection[str]
    """The agent's names, besides its addresses, as web browsers know it."""


class OperatorApi:
    def __init__(
        self,
        view: View,
        cache: TaskJsonCache,
        files: FilesPages,
        processes: Processes | None,
        access: Access,
    ) -> None:
        """``processes`` is None for an endpoint that cannot exec. Needs a running loop."""
        sessions = Sessions()
        self._view = view
        self._access = access
        self._log_level = LogLevel()
        self._reads = Reads(view, cache, files, sessions, self._log_level)
        self._containers = Containers(view.agent, processes, sessions)
        self._exec = ExecCalls(processes, self._containers, sessions) if processes else None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except HttpError as error:
            return refusal(error)

    async def close(self) -> None:
        self._log_level.close()
        if self._exec is not None:
            await self._exec.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        principal = self._access.auth.check(READWRITE, request.headers.get("Authorization", ""))
        who = f"{principal or 'anonymous'} at {request.remote}"
        origin, host = request.headers.get("Origin"), request.headers.get("Host", "")
        check_origin(origin, host, self._access.names)
        if self._view.agent.recovering:
            raise HttpError(503, "Agent has not finished recovery")
        types = media_types(request.method, request.headers)
        if types.content == RECORDIO:
            records = CallRecords(request, types.content_record)
            call = await records.next()
            if call is None:
                raise HttpError(400, EOF)
            self._check(call, types)
            return await self._exec_calls().attach_input(call, records, who)
        call = parse_call(await _body(request), types.content)
        self._check(call, types)
        return await self._carry_out(request, call, types, who)

    def _check(self, call: Call, types: MediaTypes) -> None:
        check_streaming(call, types)
        name = Call.Type.Name(call.type)
        if call.type == Call.UNKNOWN:
            raise HttpError(501)
        if not is_supported(call.type):
            raise HttpError(501, f"{name} is not supported by this agent")
        if call.type in TOUCHING:
            check_right(self._access.may_touch, name)

    async def _carry_out(
        self, request: web.Request, call: Call, types: MediaTypes, who: str
    ) -> web.StreamResponse:
        if call.type in READS:
            kind, read = READS[call.type]
            body = await read(self._reads, call)
            time_slice = self._view.time_slicer.begin()
            return await send(request, answer(kind, body, types.accept, time_slice))
        if call.type in (Call.WAIT_CONTAINER, Call.WAIT_NESTED_CONTAINER):
            return await self._wait(request, call, types)
        if call.type == Call.LAUNCH_NESTED_CONTAINER_SESSION:
            return await self._exec_calls().launch_session(request, call, types, who)
        if call.type == Call.ATTACH_CONTAINER_OUTPUT:
            return await self._exec_calls().attach_output(request, call, types, who)
        if call.type in (Call.KILL_CONTAINER, Call.KILL_NESTED_CONTAINER):
            await self._containers.kill(call, who)
        elif call.type in (Call.REMOVE_CONTAINER, Call.REMOVE_NESTED_CONTAINER):
            self._containers.remove(call)
        elif call.type == Call.SET_LOGGING_LEVEL:
            self._set_log_level(call.set_logging_level, who)
        return web.Response()

    async def _wait(
        self, request: web.Request, call: Call, types: MediaTypes
    ) -> web.StreamResponse:
        ended = await self._containers.wait(request, call)
        kind = Response.WAIT_CONTAINER
        body: Response.WaitContainer | Response.WaitNestedContainer = ended
        if call.type == Call.WAIT_NESTED_CONTAINER:
            kind = Response.WAIT_NESTED_CONTAINER
            body = Response.WaitNestedContainer.FromString(ended.SerializeToString())
        time_slice = self._view.time_slicer.begin()
        return await send(request, answer(kind, body, types.accept, time_slice))

    def _set_log_level(self, wanted: Call.SetLoggingLevel, who: str) -> None:
        self._log_level.set(wanted.level, wanted.duration.nanoseconds / 1e9, who)

    def _exec_calls(self) -> ExecCalls:
        if self._exec is None:
            raise HttpError(501, "This endpoint has no exec")
        return self._exec


async def _body(request: web.Request) -> bytes:
    """The body of a call. Raises HttpError (413) for a large one as soon as it is known, and
    (408) for one that does not come."""
    if (request.content_length or 0) > limits.API_CALL_BYTES:
        raise too_large(limits.API_CALL_BYTES)
    try:
        return await read_body(request, limits.API_CALL_BYTES)
    except (ConnectionError, web.RequestPayloadError) as error:
        raise HttpError(400, f"The body cannot be read: {error}") from None
