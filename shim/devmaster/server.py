"""The embedded master on the network: libprocess towards agents, HTTP towards frameworks.

NOT FOR PRODUCTION, and it says so. It carries out what the pure :class:`Master` decides. Where a
real master would abort, it answers ``/health`` with 500, every other request with 503, and
sends nothing more: a test that meets this must fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from shim import limits
from shim.devmaster import operator_api, pages, registry, scheduler_api
from shim.devmaster.effects import CloseStream, Effect, Emit, Link, Log, SaveRegistry, Tell
from shim.devmaster.frameworks import subscribe
from shim.devmaster.master import Master
from shim.devmaster.scheduler_api import Refused
from shim.devmaster.state import VERSION, Options, Registry, World
from shim.devmaster.v1json import Json
from shim.errors import PeerError
from shim.model.ids import Pid
from shim.wire import codec
from shim.wire.link import Address, Links
from shim.wire.server import Inbox

log = logging.getLogger(__name__)


class DevMaster:
    """``options`` are the fields of :class:`Options`; port 0 takes any free one.

    ``credentials`` (principal -> secret) are those of agents; ``registry_path`` makes agents
    survive a restart of this master.
    """

    def __init__(
        self,
        ip: str = "127.0.0.1",
        port: int = 5050,
        *,
        credentials: Mapping[str, bytes] | None = None,
        registry_path: Path | None = None,
        hostname: str = "localhost",
        **options: Any,
    ) -> None:
        self._ip = ip
        self._port = port
        self._hostname = hostname
        self._options = Options(**options)
        self._credentials = dict(credentials or {})
        self._registry_path = registry_path
        self._streams: dict[str, asyncio.Queue[Json | None]] = {}
        self._linked: set[Address] = set()
        self._wake = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._stopped = False
        self.master: Master

    # ---- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listens when it returns. Raises OSError if the port is taken, FatalError for a registry
        that cannot be read."""
        known = registry.load(self._registry_path) if self._registry_path else Registry()
        world = World(
            pid=Pid("master", self._ip, await self._listen()),
            id=str(uuid.uuid4()),
            options=self._options,
            new_uuid=lambda: uuid.uuid4().bytes,
            hostname=self._hostname,
            registry=known,
        )
        self.master = Master(world, self._credentials)
        self._links = Links(self._link_broke, idle=limits.KEEPALIVE)
        self._casual = Links(lambda address: None, idle=0.0)
        self._perform(self.master.start(time.time()))
        self._ticking = asyncio.create_task(self._tick(), name="devmaster clock")
        log.warning("development master (NOT FOR PRODUCTION) at %s", self.url)

    async def stop(self) -> None:
        """As a killed master: connections break, nobody is told anything."""
        self._stopped = True
        for site in list(self._runner.sites) if self._runner else ():
            # First of all: a framework connects again as soon as its stream ends.
            await site.stop()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        for queue in self._streams.values():
            queue.put_nowait(None)
        await self._links.close(flush=0.0)
        await self._casual.close(flush=0.0)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self) -> int:
        """The port. No request is handled before ``master`` is there: no await in between."""
        inbox = Inbox(self._has_process, self._deliver)
        app = web.Application(middlewares=[inbox.middleware, self._while_alive])
        self._routes(app)
        # A framework's stream has to end at once when its connection does: its handler is
        # cancelled then. Messages are delivered without waiting, so none is cut in half.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=limits.KEEPALIVE,
            shutdown_timeout=limits.SERVER_CLOSE,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._ip, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return cast(int, self._runner.addresses[0][1])

    def _has_process(self, process: str) -> bool:
        return self.master.has_process(process)

    async def __aenter__(self) -> DevMaster:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def world(self) -> World:
        """What it knows, for tests to look at."""
        return self.master.world

    @property
    def port(self) -> int:
        return self.world.pid.port

    @property
    def address(self) -> str:
        """As ``--master`` takes it."""
        return f"{self._ip}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    # ---- messages --------------------------------------------------------------------------

    def _deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        if self.world.aborted:
            return
        try:
            message = codec.decode(name, body, codec.TO_MASTER)
        except PeerError as error:
            self._perform(self.master.undecodable(sender, name, str(error), time.time()))
            return
        self._perform(self.master.receive(process, sender, message, time.time()))

    def _link_broke(self, address: Address) -> None:
        self._linked.discard(address)
        self._perform(self.master.link_lost(address, time.time()))

    async def _tick(self) -> None:
        while True:
            self._wake.clear()
            deadline = self.master.deadline
            delay = None if deadline is None else max(deadline - time.time(), 0.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            self._perform(self.master.tick(time.time()))

    def _perform(self, effects: list[Effect]) -> None:
        self._wake.set()
        for effect in effects:
            if isinstance(effect, Log):
                log.log(effect.level, "%s", effect.text)
            elif not (self.world.aborted or self._stopped):
                self._do(effect)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Tell(to, sender, message):
                links = self._links if to.address in self._linked else self._casual
                process = dataclasses.replace(self.world.pid, id=sender)
                body = message.SerializeToString(deterministic=True)
                links.send(to, process, codec.name_of(message), body)
            case Link(address):
                self._linked.add(address)
            case Emit(stream_id, event):
                self._emit(stream_id, event)
            case CloseStream(stream_id):
                self._emit(stream_id, None)
            case SaveRegistry() if self._registry_path is not None:
                registry.save(self._registry_path, self.world.registry)

    def _emit(self, stream_id: str, event: Json | None) -> None:
        queue = self._streams.get(stream_id)
        if queue is None:
            return
        if queue.qsize() > limits.STREAM_EVENTS:
            log.error("framework at stream %s does not read: cut off", stream_id)
            del self._streams[stream_id]
            event = None
        queue.put_nowait(event)

    # ---- HTTP ------------------------------------------------------------------------------

    def _routes(self, app: web.Application) -> None:
        for prefix in ("", "/master"):
            app.router.add_get(f"{prefix}/health", self._health)
            app.router.add_get(f"{prefix}/redirect", self._redirect)
            for name, page in _PAGES.items():
                app.router.add_get(f"{prefix}/{name}", self._page(page))
            app.router.add_post(f"{prefix}/api/v1/scheduler", self._scheduler)
            app.router.add_post(f"{prefix}/api/v1", self._operator)
        app.router.add_get("/", self._home)

    @web.middleware
    async def _while_alive(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.world.aborted and not request.path.endswith("/health"):
            return web.Response(status=503, text=self.world.aborted)
        response: web.StreamResponse = await handler(request)
        return response

    async def _health(self, request: web.Request) -> web.Response:
        if self.world.aborted:
            return web.Response(status=500, text=self.world.aborted)
        return web.Response()

    async def _redirect(self, request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"//{self.address}"})

    async def _home(self, request: web.Request) -> web.Response:
        return web.Response(text=pages.HOME, content_type="text/html")

    def _page(self, page: Callable[[World], Json]) -> Any:
        async def handler(request: web.Request) -> web.Response:
            return web.json_response(page(self.world))

        return handler

    async def _call(self, request: web.Request) -> Json:
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

    async def _operator(self, request: web.Request) -> web.StreamResponse:
        try:
            call = await self._call(request)
            return self._decide(lambda world: operator_api.carry_out(world, call))
        except Refused as refused:
            return web.Response(status=refused.status, text=refused.text)

    async def _scheduler(self, request: web.Request) -> web.StreamResponse:
        try:
            call = await self._call(request)
            if call.get("type") == "SUBSCRIBE":
                return await self._subscribe(request, call)
            stream_id = request.headers.get("Mesos-Stream-Id")
            return self._decide(lambda world: scheduler_api.carry_out(world, call, stream_id))
        except Refused as refused:
            return web.Response(status=refused.status, text=refused.text)

    def _decide(self, decide: Callable[[World], int]) -> web.Response:
        statuses: list[int] = []
        try:
            effects = self.master.run(time.time(), lambda world: statuses.append(decide(world)))
        finally:
            self._wake.set()
        self._perform(effects)
        return web.Response(status=statuses[0])

    async def _subscribe(self, request: web.Request, call: Json) -> web.StreamResponse:
        wanted = scheduler_api.subscription(call)
        if "Mesos-Stream-Id" in request.headers:
            raise Refused(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
        stream_id = str(uuid.uuid4())
        queue: asyncio.Queue[Json | None] = asyncio.Queue()
        response = web.StreamResponse(
            headers={"Mesos-Stream-Id": stream_id, "Content-Type": "application/json"}
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        self._streams[stream_id] = queue
        try:
            self._perform(
                self.master.run(
                    time.time(),
                    lambda world: subscribe(world, stream_id, wanted.info, set(wanted.suppressed)),
                )
            )
            await _pour(queue, response)
        finally:
            self._streams.pop(stream_id, None)
            self._perform(self.master.stream_lost(stream_id, time.time()))
        return response


async def _pour(queue: asyncio.Queue[Json | None], response: web.StreamResponse) -> None:
    """Write events as records, ``length\\n{json}``, until the stream is closed or broken."""
    with contextlib.suppress(ConnectionError):
        while (records := await _next_records(queue)) is not None:
            await response.write(records)
        await response.write_eof()


async def _next_records(queue: asyncio.Queue[Json | None]) -> bytes | None:
    """Everything that waits by now, in one piece; None at the end of the stream."""
    records = b""
    while True:
        event = await queue.get()
        if event is None:
            if records:
                queue.put_nowait(None)
            return records or None
        text = json.dumps(event, separators=(",", ":")).encode()
        records += b"%d\n%b" % (len(text), text)
        if queue.empty():
            return records


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


@contextlib.asynccontextmanager
async def serve(ip: str, port: int, **options: Any) -> AsyncIterator[DevMaster]:
    """A running master for the length of the block."""
    async with DevMaster(ip, port, **options) as master:
        yield master
