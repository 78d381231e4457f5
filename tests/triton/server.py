"""The HTTPS endpoint: versions, login, maintenance, the idle limit, and the routes."""

from __future__ import annotations

import asyncio
import math
import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from aiohttp import web

from tests.triton import tls
from tests.triton.accounts import Account, login
from tests.triton.api_errors import ApiError, not_implemented
from tests.triton.calls import ROUTES, Call
from tests.triton.datacenter import Datacenter

NO_LOGIN = frozenset({"/_ping", "/ca.pem"})
VERSION = re.compile(r"/v(?!olumes|ersion)(?P<version>[^/]*)(?P<path>/.*)")


class Endpoint:
    """``async with Endpoint(datacenter, directory) as endpoint``: serves at ``endpoint.url``.

    ``directory`` gets the server's certificate; ``ca.pem`` in it is what ``/ca.pem`` serves.
    """

    def __init__(self, datacenter: Datacenter, directory: Path, port: int = 0) -> None:
        self.datacenter = datacenter
        self.execs: dict[str, dict[str, object]] = {}
        self.calls: list[tuple[str, str]] = []
        """Method and path of each request, without the version."""
        self.without_version: list[str] = []
        """Paths that were requested without version 1.21, which a client should always name. A ping
        and the CA are the same in all versions."""
        self.ca, server_pem = tls.write_server_certificate(directory)
        self._context = tls.server_context(server_pem)
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"https://localhost:{self._port}"

    @property
    def docker_host(self) -> str:
        return f"tcp://localhost:{self._port}"

    async def __aenter__(self) -> Endpoint:
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, "127.0.0.1", self._port, ssl_context=self._context, backlog=4096
        )
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
        await self.datacenter.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        try:
            answer = await self._answer(request)
        except ApiError as error:
            answer = web.Response(status=error.status, text=error.text(request_id))
            if error.status == 503:
                self._add_retry_after(answer)
        if not answer.prepared:
            answer.headers["Server"] = "Triton/1.9.0 (linux)"
            answer.headers["x-request-id"] = request_id
            answer.headers["x-response-time"] = "1"
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = _path(request.path)
        self.calls.append((request.method, path))
        if path not in NO_LOGIN and not request.path.startswith("/v1.21/"):
            self.without_version.append(request.path)
        if path == "/_ping":
            return web.Response(text="OK")
        if path == "/ca.pem":
            return web.Response(body=self.ca.read_bytes())
        if path == "/events":
            raise not_implemented("events")
        account = self._login(request)
        self._check_service(request)
        handler, idle = _route(request.method, path)
        call = Call(self.datacenter, self.execs, account, request, handler[1])
        return await self._limit_idle(
            call, handler[0], idle or self.datacenter.options.idle_seconds
        )

    def _login(self, request: web.Request) -> Account:
        assert request.transport is not None
        peer = request.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return login(peer, self.datacenter.accounts, datetime.now(UTC))

    def _check_service(self, request: web.Request) -> None:
        options = self.datacenter.options
        if options.maintenance and request.method != "GET":
            raise ApiError(503, options.maintenance)
        if self.datacenter.random.random() < options.error_rate:
            raise ApiError(500, "an internal error occurred")

    def _add_retry_after(self, answer: web.Response) -> None:
        until = self.datacenter.options.maintenance_until
        if until is not None:
            moment = datetime.fromtimestamp(math.ceil(until), UTC)
            answer.headers["Retry-After"] = format_datetime(moment, usegmt=True)

    async def _limit_idle(
        self,
        call: Call,
        handler: Callable[[Call], Awaitable[web.StreamResponse]],
        idle: float,
    ) -> web.StreamResponse:
        """After ``idle`` seconds the connection is closed without an answer; the call goes on."""
        task = asyncio.ensure_future(handler(call))
        done, _ = await asyncio.wait([task], timeout=idle)
        if done:
            return task.result()
        task.add_done_callback(lambda late: late.cancelled() or late.exception())
        if call.request.transport is not None:
            call.request.transport.abort()
        return web.Response()


def _path(raw: str) -> str:
    """The path without its version. Versions are compared as strings, as Triton does it."""
    match = VERSION.fullmatch(raw)
    if match is None:
        return raw
    version = match["version"]
    if not re.fullmatch(r"\d+\.\d+", version) or version < "1.20":
        message = f"client is newer or older than server: {version}, want 1.20 at least"
        raise ApiError(400, message, "InvalidVersion")
    return match["path"]


def _route(
    method: str, path: str
) -> tuple[tuple[Callable[[Call], Awaitable[web.StreamResponse]], dict[str, str]], float | None]:
    known = False
    for route_method, pattern, handler, idle in ROUTES:
        match = pattern.fullmatch(path)
        if match is None:
            continue
        known = True
        if method == route_method:
            return (handler, match.groupdict()), idle
    if known:
        raise ApiError(405, f"{method} is not allowed", "MethodNotAllowed")
    raise ApiError(404, f"{path} does not exist", "ResourceNotFound")
