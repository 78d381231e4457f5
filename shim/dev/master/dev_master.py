"""The embedded master on the network: libprocess for agents, HTTP for frameworks.

Not for production. :class:`DevMaster` carries out the effects of the pure :class:`Master`. Where a
real master would abort, it answers ``/health`` with 500 and every other request with 503, and it
sends no more messages. A test in which this happens must fail.
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
from typing import Any

from aiohttp import web

from shim import limits
from shim.dev.master import registry
from shim.dev.master.effects import (
    CloseStream,
    Effect,
    HoldConnection,
    Log,
    SaveRegistry,
    SendEvent,
    SendMessage,
)
from shim.dev.master.event_streams import EventStreams
from shim.dev.master.http_api import HttpApi
from shim.dev.master.master import Master
from shim.dev.master.master_state import MasterState, Options, Registry
from shim.errors import PeerError
from shim.model.ids import Pid
from shim.wire import codec
from shim.wire.connect import Address, connector
from shim.wire.connection_guard import guarded
from shim.wire.link import Links
from shim.wire.listener import Acceptor
from shim.wire.server import Inbox, bind
from shim.wire.tls import Tls

log = logging.getLogger(__name__)


class DevMaster:
    """``options`` are the fields of :class:`Options`. Port 0 takes a free port.

    ``credentials`` maps agents' principals to secrets. With ``registry_path`` the registered
    agents survive a restart of the master.
    """

    def __init__(
        self,
        ip: str = "127.0.0.1",
        port: int = 5050,
        *,
        credentials: Mapping[str, bytes] | None = None,
        registry_path: Path | None = None,
        hostname: str = "localhost",
        require_peer_ip_match: bool = False,
        tls: Tls | None = None,
        **options: Any,
    ) -> None:
        self._ip = ip
        self._port = port
        self._hostname = hostname
        self._require_peer_ip_match = require_peer_ip_match
        self._tls = tls
        self._options = Options(**options)
        self._credentials = dict(credentials or {})
        self._registry_path = registry_path
        self._streams = EventStreams()
        self._api = HttpApi(self, self._streams)
        self._held_addresses: set[Address] = set()
        self._wake = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._acceptor: Acceptor | None = None
        self._timers: asyncio.Task[None] | None = None
        self._stopped = False
        self.master: Master

    # ---- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. Raises OSError for a port in use, FatalError for an unreadable registry."""
        known = registry.load(self._registry_path) if self._registry_path else Registry()
        state = MasterState(
            pid=Pid("master", self._ip, await self._listen()),
            id=str(uuid.uuid4()),
            options=self._options,
            new_uuid=lambda: uuid.uuid4().bytes,
            hostname=self._hostname,
            registry=known,
        )
        self.master = Master(state, self._credentials)
        connect = connector(self._tls)
        self._held_connections = Links(
            self._connection_lost, connect=connect, idle=limits.KEEPALIVE
        )
        self._short_connections = Links(lambda address: None, connect=connect, idle=0.0)
        self._perform(self.master.start(time.time()))
        self._timers = asyncio.create_task(self._run_timers(), name="embedded master timers")
        log.warning("development master (NOT FOR PRODUCTION) at %s", self.url)

    async def stop(self) -> None:
        """Stop like a killed process: connections break without a message."""
        self._stopped = True
        if self._acceptor is not None:
            # The listener closes first: a framework reconnects as soon as its stream ends.
            await self._acceptor.close()
        if self._timers is not None:
            self._timers.cancel()
            await asyncio.gather(self._timers, return_exceptions=True)
        self._streams.end()
        await self._held_connections.close(flush=0.0)
        await self._short_connections.close(flush=0.0)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self) -> int:
        """Listen; returns the port. There is no await before ``self.master`` is set, so no request
        is handled without it."""
        inbox = Inbox(
            self._has_process, self._deliver, require_peer_ip_match=self._require_peer_ip_match
        )
        app = web.Application(middlewares=[guarded, inbox.middleware, self._api.unless_aborted])
        self._api.add_routes(app)
        # A closed connection must end a framework's stream at once, so its handler is cancelled.
        # Messages are delivered without an await; a cancellation cannot cut them in half.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=limits.KEEPALIVE,
            shutdown_timeout=limits.SERVER_CLOSE,
        )
        listening = bind(self._ip, self._port)
        await self._runner.setup()
        self._acceptor = Acceptor(self._runner, listening, self._tls)
        await self._acceptor.start()
        return self._acceptor.port

    def _has_process(self, process: str) -> bool:
        return self.master.has_process(process)

    async def __aenter__(self) -> DevMaster:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def state(self) -> MasterState:
        """The master's memory, for tests."""
        return self.master.state

    @property
    def port(self) -> int:
        return self.state.pid.port

    @property
    def address(self) -> str:
        """``host:port``, for ``--master``."""
        return f"{self._ip}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self.address}"

    # ---- decisions and messages --------------------------------------------------------------

    def change(self, change: Callable[[MasterState], None]) -> None:
        """Apply a change of the HTTP API. Exceptions of ``change`` are raised to the caller."""
        try:
            effects = self.master.apply(time.time(), change)
        finally:
            self._wake.set()
        self._perform(effects)

    def _deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        if self.state.aborted:
            return
        try:
            message = codec.decode(name, body, codec.TO_MASTER)
        except PeerError as error:
            self._perform(self.master.undecodable(sender, name, str(error), time.time()))
            return
        self._perform(self.master.receive(process, sender, message, time.time()))

    def _connection_lost(self, address: Address) -> None:
        self._held_addresses.discard(address)
        self._perform(self.master.connection_lost(address, time.time()))

    async def _run_timers(self) -> None:
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
            elif not (self.state.aborted or self._stopped):
                self._do(effect)

    def _do(self, effect: Effect) -> None:
        match effect:
            case SendMessage(to, sender, message):
                links = (
                    self._held_connections
                    if to.address in self._held_addresses
                    else self._short_connections
                )
                process = dataclasses.replace(self.state.pid, id=sender)
                body = message.SerializeToString(deterministic=True)
                links.send(to, process, codec.name_of(message), body)
            case HoldConnection(address):
                self._held_addresses.add(address)
            case SendEvent(stream_id, event):
                self._streams.send_event(stream_id, event)
            case CloseStream(stream_id):
                self._streams.send_event(stream_id, None)
            case SaveRegistry() if self._registry_path is not None:
                registry.save(self._registry_path, self.state.registry)


@contextlib.asynccontextmanager
async def serve(ip: str, port: int, **options: Any) -> AsyncIterator[DevMaster]:
    """A running master during the block."""
    async with DevMaster(ip, port, **options) as master:
        yield master
