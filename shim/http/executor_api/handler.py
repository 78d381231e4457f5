"""One request to ``/api/v1/executor``: its checks in the order of a stock agent, and its answer.

An executor proves itself with the token of its container. The token is checked whenever a call has
one. A call without a token is accepted unless ``--authenticate_http_executors`` is set, as by a
stock agent: pymesos never sends the token. But an executor that subscribed with its token needs it
for every later call, so that no other process can speak for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from shim import limits
from shim.core.view import AgentView
from shim.http.executor_api import calls
from shim.http.executor_api.executor_streams import EventStream, ExecutorStreams
from shim.http.executor_api.token import Claims, InvalidToken, verify
from shim.http.request_body import read_body
from shim.http.responses import HttpError, method_not_allowed
from shim.http.router import refusal
from shim.model.facts import ExecutorCalled, Fact
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId
from shim.protos.executor_pb2 import Call

REALM = "mesos-agent-executor"
_RECOVERING = "Agent has not finished recovery"


class ExecutorApi:
    """Posts valid calls as facts. ``streams`` takes the events for subscribed executors."""

    def __init__(
        self,
        agent: AgentView,
        streams: ExecutorStreams,
        post: Callable[[Fact], None],
        secret: bytes,
        *,
        token_required: bool,
    ) -> None:
        self._agent = agent
        self._streams = streams
        self._post = post
        self._secret = secret
        self._token_required = token_required

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except HttpError as error:
            return web.Response(status=error.status, text=error.text, headers=error.headers)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self._agent.recovering:
            raise HttpError(503, _RECOVERING)
        if request.method != "POST":
            raise method_not_allowed(request.method)
        call = await _read_call(request)
        try:
            return await self._carry_out(request, call)
        except HttpError as error:
            if call.type != Call.SUBSCRIBE:
                raise
            # It connects again. Other calls keep their connection: its end ends a subscription.
            return refusal(error)

    async def _carry_out(self, request: web.Request, call: Call) -> web.StreamResponse:
        accept = request.headers.get("Accept")
        content_type = calls.event_type(accept) if call.type == Call.SUBSCRIBE else ""
        if call.type == Call.HEARTBEAT:
            return web.Response(status=202)
        claims = self._claims(request.headers.get("Authorization", ""))
        key = self._admit(call, claims)
        called = ExecutorCalled(key, call, authenticated=claims is not None)
        if call.type == Call.SUBSCRIBE:
            return await self._subscribe(request, called, content_type)
        if call.type == Call.UNKNOWN:
            raise HttpError(501)
        self._post(called)
        return web.Response(status=202)

    def _admit(self, call: Call, claims: Claims | None) -> ExecutorKey:
        """The calling executor. Raises HttpError for an unknown or a false one."""
        framework_id = FrameworkId(call.framework_id.value)
        key = ExecutorKey(framework_id, ExecutorId(call.executor_id.value))
        if framework_id not in self._agent.frameworks:
            raise HttpError(400, "Framework cannot be found")
        executor = self._agent.custom_executors.get(key)
        if executor is None:
            raise HttpError(400, "Executor cannot be found")
        if claims is not None:
            _check_claims(claims, key, executor.ref.container_id)
        elif self._token_required or executor.authenticated:
            raise _unauthorized()
        if call.type != Call.SUBSCRIBE and not executor.is_subscribed:
            raise HttpError(403, "Executor is not subscribed")
        return key

    def _claims(self, authorization: str) -> Claims | None:
        """Those of the call's token; None without a token. Raises HttpError (401)."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return verify(token.strip(), self._secret)
        except InvalidToken as error:
            raise _unauthorized(str(error)) from None

    async def _subscribe(
        self, request: web.Request, called: ExecutorCalled, content_type: str
    ) -> web.StreamResponse:
        """Write the events of the executor until either side ends the stream."""
        response = web.StreamResponse(headers={"Content-Type": content_type})
        response.enable_chunked_encoding()
        await response.prepare(request)
        number, stream = self._streams.open(content_type, str(called.key))
        self._post(replace(called, stream=number))
        try:
            await _write(request, response, stream)
        finally:
            self._streams.forget(number)
        return response


async def recovering(request: web.Request) -> web.StreamResponse:
    """The answer of an agent that is starting: executors try again, any other code ends them."""
    return web.Response(status=503, text=_RECOVERING)


async def _read_call(request: web.Request) -> Call:
    """The call in the body. A large body is parsed in a thread. Raises HttpError."""
    body = await read_body(request, limits.EXECUTOR_CALL_BYTES)
    content_type = request.headers.get("Content-Type")
    if len(body) < limits.EXECUTOR_CALL_INLINE:
        return calls.parse(content_type, body)
    return await asyncio.to_thread(calls.parse, content_type, body)


def _check_claims(claims: Claims, key: ExecutorKey, container_id: ContainerId) -> None:
    """Raises HttpError (403) naming the claim that differs from the call."""
    who = "The authenticated principal does not contain"
    if claims.key.framework_id != key.framework_id:
        text = f"{who} an 'fid' claim with the framework ID {key.framework_id}"
    elif claims.key.executor_id != key.executor_id:
        text = f"{who} an 'eid' claim with the executor ID {key.executor_id}"
    elif claims.container_id != container_id:
        raise HttpError(403, f"{who} a 'cid' claim with the correct active ContainerID")
    else:
        return
    raise HttpError(403, f"{text}, which is set in the call")


def _unauthorized(problem: str = "") -> HttpError:
    challenge = f'Bearer realm="{REALM}"'
    if problem:
        challenge += f', error="invalid_token", error_description="{problem}"'
    return HttpError(401, problem, {"WWW-Authenticate": challenge})


async def _write(request: web.Request, response: web.StreamResponse, stream: EventStream) -> None:
    """Until the stream ends, the connection breaks, or the executor reads too slowly.

    Nothing watches the connection itself: the stream ends with the next event, at the executor's
    next subscription, or with its container.
    """
    writing = asyncio.ensure_future(_write_records(response, stream))
    broken = asyncio.ensure_future(stream.broken.wait())
    try:
        await asyncio.wait({writing, broken}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        writing.cancel()
        broken.cancel()
        await asyncio.gather(writing, broken, return_exceptions=True)
        if stream.broken.is_set() and request.transport is not None:
            request.transport.abort()


async def _write_records(response: web.StreamResponse, stream: EventStream) -> None:
    with contextlib.suppress(ConnectionError):
        while (records := await stream.next()) is not None:
            await response.write(records)
        await response.write_eof()
