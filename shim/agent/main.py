"""The life of the agent's process: address, endpoint, rooms, signals, end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Coroutine

from aiohttp import web

from shim import limits
from shim.agent import engine_startup, runtime
from shim.agent.http_service import HttpService
from shim.agent.identity import check_reservations, check_unchanged, keep_hostname, shim_id
from shim.agent.journal import Journal
from shim.agent.messenger import Messenger
from shim.agent.supervise import supervise
from shim.agent.wiring import AgentServices, StartupContext
from shim.config import Config
from shim.config.addresses import Addresses, find_addresses
from shim.config.offer import offer_of
from shim.core.agent import Core
from shim.core.context import Settings
from shim.discovery.consul_detector import detector_for
from shim.engine.api import EngineInfo
from shim.errors import FatalError
from shim.model.facts import ContainersFound, LeaveRequested, MasterDetected
from shim.model.ids import Pid
from shim.model.orders import Exit
from shim.model.records import Snapshot
from shim.protos.mesos_pb2 import SlaveInfo
from shim.wire.server import Listener, serve

log = logging.getLogger(__name__)

PROCESS = "slave(1)"
MESOS_VERSION = "1.11.0"
"""What we claim to be: the last release whose agents speak as we do. Masters refuse below 1.0."""


async def run_agent(config: Config) -> int:
    """Run the agent until it is stopped or ends by itself: the process's exit code.

    Raises ConfigError and FatalError with the one line that a user must read.
    """
    gc.set_threshold(*limits.GC_THRESHOLDS)
    journal = Journal(config.work_dir / "journal.db")
    try:
        ended = await _Agent(config, journal, journal.load()).run()
    finally:
        journal.close()
    (log.error if ended.code else log.info)("ended: %s", ended.reason)
    return ended.code


class _Agent:
    def __init__(self, config: Config, journal: Journal, snapshot: Snapshot) -> None:
        self._config = config
        self._journal = journal
        self._snapshot = snapshot
        self._messenger = Messenger(PROCESS, config.credential)
        self._pages = HttpService(config, PROCESS, MESOS_VERSION)
        self._stop = asyncio.Event()
        self._leave = asyncio.Event()

    async def run(self) -> Exit:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._leave.set)
        address = await asyncio.to_thread(find_addresses, self._config)
        address = keep_hostname(self._snapshot, self._config.hostname, address)
        listener = await _listen(self._pages.setup, self._messenger, address)
        try:
            return await self._until_stopped(self._serve(address, listener))
        finally:
            await self._messenger.close()
            await listener.close()

    async def _until_stopped(self, work: Coroutine[None, None, Exit]) -> Exit:
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            return working.result()
        working.cancel()
        await asyncio.wait({working})
        return Exit(0, "stopped; tasks go on and are taken up again at the next start")

    async def _serve(self, address: Addresses, listener: Listener) -> Exit:
        config = self._config
        port = address.advertise_port or listener.port
        pid = Pid(PROCESS, address.advertise_ip, port)
        self._messenger.introduce(pid)
        owner, mark = shim_id(self._snapshot, config.shim_id, address.hostname, port)
        await self._journal.commit([mark])
        engine = await engine_startup.connected(
            config, owner, self._pages.waits, self._pages.observe_call
        )
        try:
            await self._pages.attach(engine)
            info = await engine_startup.answer(engine, self._pages.waits)
            settings = await self._settings(address, pid, info)
            around = StartupContext(
                config, engine, info, owner, pid, address.hostname, self._messenger, self._pages
            )
            return await self._act(around, settings)
        finally:
            await engine.close()

    async def _settings(self, address: Addresses, pid: Pid, info: EngineInfo) -> Settings:
        config = self._config
        described = _describe(config, info, address.hostname, pid.port)
        check_unchanged(self._snapshot, described, pid.ip)
        check_reservations(self._snapshot, described)
        return Settings(
            pid=pid,
            info=described,
            version=MESOS_VERSION,
            authenticate=config.credential is not None,
            registration_backoff=config.registration_backoff_factor,
            authentication_backoff=config.authentication_backoff_factor,
            shutdown_grace=config.executor_shutdown_grace_period,
            stop_timeout=config.docker_stop_timeout,
            remove_delay=config.docker_remove_delay,
            cleanup=config.recover == "cleanup",
            kill_orphans=config.docker_kill_orphans,
            engine_ip=await engine_startup.host_address(config, info, address),
        )

    async def _act(self, around: StartupContext, settings: Settings) -> Exit:
        core = Core(settings, runtime.SystemEntropy(), self._snapshot, runtime.now())
        # The core holds what it needs; ten thousand tasks twice would be a waste.
        self._snapshot = Snapshot.empty()
        loop = runtime.Runtime(core, self._journal)
        rooms = AgentServices(around, core, loop)
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(self._lead(loop), name="detector"),
                group.create_task(self._recover(around, core, loop, rooms), name="recovery"),
                group.create_task(self._leaver(loop), name="leaver"),
            ]
            try:
                return await rooms.run()
            finally:
                for task in beside:
                    task.cancel()
                await rooms.close(leaving=self._leave.is_set())

    async def _lead(self, loop: runtime.Runtime) -> None:
        detector = detector_for(self._config.master)

        async def follow() -> None:
            await detector.run(lambda pid: loop.post(MasterDetected(pid)))

        await supervise("the detector", follow)

    async def _leaver(self, loop: runtime.Runtime) -> None:
        await self._leave.wait()
        loop.post(LeaveRequested())

    async def _recover(
        self, around: StartupContext, core: Core, loop: runtime.Runtime, rooms: AgentServices
    ) -> None:
        """The one look at the endpoint that turns a journal into a state."""
        found = await engine_startup.containers(around.engine, core.recovery.needs_inspect())
        loop.post(ContainersFound(tuple(found)))
        await loop.settled()
        if rooms.discovery is not None:
            rooms.discovery.enable_orphan_removal()


async def _listen(
    routes: Callable[[web.Application], None], messenger: Messenger, address: Addresses
) -> Listener:
    try:
        return await serve(routes, messenger.inbox, address.bind_ip, address.port)
    except OSError as error:
        where = f"--ip={address.bind_ip} --port={address.port}"
        raise FatalError(f"{where}: cannot listen there: {error.strerror}") from None


def _describe(config: Config, info: EngineInfo, hostname: str, port: int) -> SlaveInfo:
    """The agent as it registers: without id."""
    offer = offer_of(config, info)
    for note in (*config.notes, *offer.notes):
        log.info("%s", note)
    return SlaveInfo(
        hostname=hostname,
        port=port,
        resources=offer.resources,
        attributes=offer.attributes,
        checkpoint=True,
        domain=offer.domain,
    )
