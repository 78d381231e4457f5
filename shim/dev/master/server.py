"""The embedded master on the network: libprocess towards agents, HTTP towards frameworks.

NOT FOR PRODUCTION, and it says so. It carries out what the pure :class:`Master` decides. Where a
real master would abort, it answers ``/health`` with 500, every other request with 503, and
sends nothing more: a test that meets this must fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from shim import limits
from shim.dev.master import registry
from shim.dev.master.effects import CloseStream, Effect, Emit, Link, Log, SaveRegistry, Tell
from shim.dev.master.http_api import HttpApi
from shim.dev.master.master import Master
from shim.dev.master.state import Options, Registry, World
from shim.dev.master.streams import EventStreams
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
        self._streams = EventStreams()
        self._api = HttpApi(self, self._streams)
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
        self._streams.end()
        await self._links.close(flush=0.0)
        await self._casual.close(flush=0.0)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self) -> int:
        """The port. No request is handled before ``master`` is there: no await in between."""
        inbox = Inbox(self._has_process, self._deliver)
        app = web.Application(middlewares=[inbox.middleware, self._api.while_alive])
        self._api.add_routes(app)
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

    # ---- decisions and messages --------------------------------------------------------------

    def decide(self, decide: Callable[[World], None]) -> None:
        """Carry out a decision of the API. What it raises is raised here."""
        try:
            effects = self.master.run(time.time(), decide)
        finally:
            self._wake.set()
        self._perform(effects)

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
                self._streams.emit(stream_id, event)
            case CloseStream(stream_id):
                self._streams.emit(stream_id, None)
            case SaveRegistry() if self._registry_path is not None:
                registry.save(self._registry_path, self.world.registry)


@contextlib.asynccontextmanager
async def serve(ip: str, port: int, **options: Any) -> AsyncIterator[DevMaster]:
    """A running master for the length of the block."""
    async with DevMaster(ip, port, **options) as master:
        yield master
