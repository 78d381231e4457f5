"""The life of the agent's process: addresses, frontend, endpoint, services, signals, exit."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from shim import limits
from shim.agent import executor_service, startup
from shim.agent.address_change import AddressChange, AddressGate
from shim.agent.container_host import bridge_gateway
from shim.agent.frontend import Frontend, MessageReceiver, NoReceiver, PingResponder
from shim.agent.http_service import basic_auth
from shim.agent.identity import address_change, check_reservations, keep_hostname, shim_id
from shim.agent.journal import SqliteJournal
from shim.agent.launch_specs import LaunchSpecs, mapping_settings
from shim.agent.runtime import Journal, Runtime, SystemEntropy, now
from shim.agent.service_manager import ServiceManager
from shim.agent.standby import Standby
from shim.agent.startup import StartupContext
from shim.agent.supervise import supervise
from shim.agent.wiring import AgentServices
from shim.config import Config
from shim.config.addresses import Addresses, find_addresses
from shim.config.agent_totals import agent_totals
from shim.core.agent import Core
from shim.core.context import CoreSettings, PodNetwork
from shim.discovery.master_detector import detector_for
from shim.engine.api import EngineInfo
from shim.engine.connect import remote_host
from shim.engine.sandbox.store import SandboxStore
from shim.engine.triton import TritonEngine
from shim.engine.triton.billing.exporter import publish_certificate
from shim.errors import FatalError, Transient
from shim.http.executor_api.handler import recovering
from shim.http.health import EndpointWait
from shim.http.log_ring import LogRing
from shim.http.pages import Page, standby_pages, starting_pages
from shim.http.router import Router
from shim.http.view import alone
from shim.model.facts import (
    ContainersFound,
    Fact,
    LeaveRequested,
    LinkBroke,
    MasterDetected,
    VolumesFound,
)
from shim.model.ids import Pid
from shim.model.orders import Exit
from shim.model.records import Record, Snapshot
from shim.protos.mesos_pb2 import SlaveInfo
from shim.telemetry.metrics import Metrics
from shim.wire.connect import connector
from shim.wire.link import Links
from shim.wire.server import bind, serve
from shim.wire.tls import Tls

log = logging.getLogger(__name__)

PROCESS = "slave(1)"
MESOS_VERSION = "1.11.0"
"""The Mesos release whose agents speak as the shim does. Masters refuse agents below 1.0."""


async def run_agent(config: Config) -> int:
    """Run the agent until it is stopped or ends by itself; return the exit code of the process.

    Raises ConfigError and FatalError with one line for the user.
    """
    gc.set_threshold(*limits.GC_THRESHOLDS)
    if config.journal is None:
        journal = SqliteJournal(config.work_dir / "journal.db")
        try:
            ended = await _Agent(config, journal, journal.load()).run()
        finally:
            journal.close()
    else:
        ended = await _Agent(config, None, Snapshot()).run()
    (log.error if ended.code else log.info)("ended: %s", ended.reason)
    return ended.code


class _Agent:
    """One process. Its frontend answers while it waits for the endpoint, then serves tasks."""

    def __init__(self, config: Config, journal: Journal | None, snapshot: Snapshot) -> None:
        """``journal`` None: it is in ZooKeeper, and loaded once this agent leads."""
        self._config = config
        self._standby: Standby | None = None
        self._journal = journal
        self._snapshot = snapshot
        self._started = time.time()
        self._metrics = Metrics()
        self._log_ring = LogRing()
        self._tls = None if config.tls is None else Tls(config.tls)
        self._links = Links(self._link_broke, connect=connector(self._tls))
        self._post: Callable[[Fact], None] = lambda fact: None
        """To the core, once there is one."""
        self._endpoint_wait = EndpointWait()
        self._address_change: AddressChange | None = None
        self._stop = asyncio.Event()
        self._leave = asyncio.Event()

    async def run(self) -> Exit:
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self._stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._leave.set)
        address = await asyncio.to_thread(_find_addresses, self._config)
        listening = _bind(address)
        port = address.advertise_port or listening.getsockname()[1]
        pid = Pid(PROCESS, address.advertise_ip, port)
        if self._config.journal is not None:
            self._standby = Standby(self._config.journal, self._config, pid, self._tls)
            self._journal = self._standby.journal
        frontend = self._first_frontend(pid)
        self._log_ring.attach()
        listener = await serve(frontend.add_routes, frontend.inbox, listening, self._tls)
        manager = ServiceManager()
        manager.ready(f"listening on {address.bind_ip}:{listening.getsockname()[1]}")
        alive = asyncio.create_task(manager.keep_alive())
        try:
            return await self._until_stopped(self._lead(address, pid, frontend))
        finally:
            manager.stopping()
            alive.cancel()
            if self._standby is not None:
                await self._standby.close()
            await self._links.close()
            await listener.close()
            self._log_ring.detach()

    def _first_frontend(self, pid: Pid) -> Frontend:
        """Of an agent that waits for its journal, or for its endpoint."""
        config, standby = self._config, self._standby
        receiver: MessageReceiver = NoReceiver()
        if standby is None:
            receiver = PingResponder(pid, self._links)
            router = self._starting_router()
        else:
            router = self._router(
                standby_pages(MESOS_VERSION, config.texts, standby.problems, standby.description)
            )
        return Frontend(
            router, receiver, require_peer_ip_match=config.require_peer_address_ip_match
        )

    def _starting_router(self) -> Router:
        leadership = self._standby.description if self._standby else alone
        texts = self._config.texts
        return self._router(starting_pages(MESOS_VERSION, texts, self._waits_for, leadership))

    def _waits_for(self) -> list[str]:
        """Why a starting agent does not get on, for ``/health``."""
        journal = self._standby.problems() if self._standby else []
        return [*journal, *self._endpoint_wait.problems()]

    def _router(self, pages: Mapping[str, Page]) -> Router:
        apis = {executor_service.PATH: recovering}
        return Router(pages, self._metrics, basic_auth(self._config), PROCESS, apis)

    async def _until_stopped(self, work: Coroutine[None, None, Exit]) -> Exit:
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wait())
        ends: set[asyncio.Future[Any]] = {working, stopping}
        if self._standby is not None:
            ends.add(self._standby.lost)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done() and not self._lost:
            return working.result()
        working.cancel()
        (result,) = await asyncio.gather(working, return_exceptions=True)
        if self._lost:
            # The work may have met the same end: its error says no more.
            return Exit(1, self._lost)
        if isinstance(result, Exception):
            log.error("the agent was stopped, and could not end as it should", exc_info=result)
        return Exit(0, "stopped; tasks keep running, and the next start adopts them")

    @property
    def _lost(self) -> str:
        """Why this agent does not lead any more; empty while it leads, waits or is alone."""
        if self._standby is not None and self._standby.lost.done():
            return self._standby.lost.result()
        return ""

    # --- the start ------------------------------------------------------------------------

    async def _lead(self, address: Addresses, pid: Pid, frontend: Frontend) -> Exit:
        """Wait until this agent leads, if others share its journal; then start."""
        if self._standby is not None:
            self._snapshot = await self._standby.take_over()
            self._endpoint_wait = EndpointWait()
            frontend.replace(self._starting_router(), PingResponder(pid, self._links))
        address = keep_hostname(self._snapshot, self._config.hostname, address)
        assert self._journal is not None
        return await self._start(address, pid, frontend, self._journal)

    async def _start(
        self, address: Addresses, pid: Pid, frontend: Frontend, journal: Journal
    ) -> Exit:
        """Wait for the endpoint, then run the services."""
        config, wait = self._config, self._endpoint_wait
        owner, record = shim_id(self._snapshot, config.shim_id, address.hostname, pid.port)
        await _commit(journal, record)
        engine = await startup.connect_engine(
            config, owner, wait.failed, self._observe_call, journal.may_act
        )
        try:
            if isinstance(engine, TritonEngine):
                # Before the endpoint answers: it may refuse a certificate that has expired.
                publish_certificate(engine.login, self._metrics)
            sandboxes = SandboxStore(engine, config.work_dir / "sandboxes")
            await sandboxes.load()
            info = await startup.engine_info(engine, wait.failed)
            engine_ip = await startup.engine_address(config, info, address)
            missing = await startup.volumes_missing(engine)
            specs = LaunchSpecs(mapping_settings(config, info, owner, engine_ip, missing))
            settings = self._settings(address, pid, info, owner, engine_ip, specs)
            context = StartupContext(
                config=config,
                journal=journal,
                standby=self._standby,
                engine=engine,
                info=info,
                shim_id=owner,
                pid=pid,
                hostname=address.hostname,
                engine_ip=engine_ip,
                specs=specs,
                sandboxes=sandboxes,
                links=self._links,
                inbox=frontend.inbox,
                peers=frontend.peers,
                metrics=self._metrics,
                log_ring=self._log_ring,
                started=self._started,
            )
            return await self._run_services(context, settings, frontend)
        finally:
            await engine.close()

    def _observe_call(self, call: str, outcome: str, seconds: float) -> None:
        self._metrics.engine_seconds.labels(call, outcome).observe(seconds)

    def _settings(
        self,
        address: Addresses,
        pid: Pid,
        info: EngineInfo,
        owner: str,
        engine_ip: str | None,
        specs: LaunchSpecs,
    ) -> CoreSettings:
        """What the core needs to know. Raises FatalError if less is offered than is reserved."""
        config = self._config
        described = _describe(config, info, address.hostname, pid.port)
        self._address_change = address_change(self._snapshot, described, pid.ip)
        check_reservations(self._snapshot, described)
        return CoreSettings(
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
            has_default_container=config.default_container_info is not None,
            executor_registration_timeout=min(
                config.executor_registration_timeout, limits.EXECUTOR_REGISTRATION
            ),
            executor_reregistration_timeout=config.executor_reregistration_timeout,
            fixed_size=info.kind == "triton",
            max_task_bytes=limits.JOURNAL_TASK_BYTES if self._standby else None,
            engine_ip=engine_ip,
            shim_id=owner,
            resource_version=SystemEntropy().uuid(),
            resizes_volumes=_resizes_volumes(config, info),
            pod_network=_pod_network(config, info),
            pods_refused=_PODS_REFUSED,
            launch_problem=specs.problem,
        )

    # --- the running agent ----------------------------------------------------------------

    async def _run_services(
        self, context: StartupContext, settings: CoreSettings, frontend: Frontend
    ) -> Exit:
        core = Core(settings, SystemEntropy(), self._snapshot, now())
        # The core holds what it needs; 10,000 tasks in memory twice would be a waste.
        self._snapshot = Snapshot()
        runtime = Runtime(core, context.journal)
        self._post = runtime.post
        services = AgentServices(context, core, runtime)
        frontend.replace(services.http.router, services.messenger)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._follow_master(runtime), name="master detector"),
                group.create_task(self._recover(context, core, runtime, services), name="recovery"),
                group.create_task(self._leave_on_signal(runtime), name="leave signal"),
            ]
            try:
                return await services.run()
            finally:
                for task in tasks:
                    task.cancel()
                await services.close(leaving=self._leave.is_set())

    def _link_broke(self, address: tuple[str, int]) -> None:
        log.info("messages to %s:%d may be lost", *address)
        self._post(LinkBroke(address))

    async def _follow_master(self, runtime: Runtime) -> None:
        """Post each leading master that is detected, once the agent may register with it."""
        detector = detector_for(self._config.master)

        def post(master: Pid | None) -> None:
            runtime.post(MasterDetected(master))

        gate = AddressGate(self._address_change, self._config.credential, post)
        try:
            await supervise("the master detector", lambda: detector.run(gate.master_changed))
        finally:
            gate.close()

    async def _leave_on_signal(self, runtime: Runtime) -> None:
        await self._leave.wait()
        runtime.post(LeaveRequested())

    async def _recover(
        self, context: StartupContext, core: Core, runtime: Runtime, services: AgentServices
    ) -> None:
        """Post the containers and volumes that exist: the core compares them with the journal."""
        await startup.wait_to_act(context.journal)
        needs_inspect = core.recovery.needs_inspect()
        found = await startup.existing_containers(context.engine, needs_inspect)
        runtime.post(ContainersFound(tuple(found)))
        await runtime.settled()
        if services.discovery is not None:
            services.discovery.enable_orphan_removal()
        runtime.post(VolumesFound(tuple(await startup.existing_volumes(context.engine))))
        if context.standby is not None:
            await asyncio.sleep(limits.STRAY_SWEEP)
            found = await startup.existing_containers(context.engine, lambda _: False)
            runtime.post(ContainersFound(tuple(found)))
        if self._config.docker_kill_orphans:
            await services.remove_unknown_volumes(core.view)


async def _commit(journal: Journal, record: Record) -> None:
    """Before there is a runtime: wait for a journal that takes no records now."""
    batch = [record]
    while True:
        try:
            return await journal.commit(batch)
        except Transient as error:
            log.error("%s", error)
            await asyncio.sleep(limits.DISK_RETRY)


def _resizes_volumes(config: Config, info: EngineInfo) -> bool:
    """Whether a volume at the endpoint has no size of its own.

    So it is with Docker's driver ``local``. A tritonnfs volume keeps its size, and so may the
    volumes of other drivers.
    """
    sized = any("{size}" in value for value in config.volume_driver_options.values())
    return info.kind == "docker" and config.volume_driver == "local" and not sized


def _find_addresses(config: Config) -> Addresses:
    """The agent's addresses. By default its host name is where the ports of its tasks answer."""
    found = find_addresses(config)
    gateway = None if config.hostname or remote_host(config) else bridge_gateway()
    return replace(found, hostname=gateway) if gateway else found


_PODS_REFUSED = (
    "On Triton each container has a network of its own, so the tasks of a task group cannot reach"
    " each other at localhost: --triton_pods=separate runs groups that do not need it"
)


def _pod_network(config: Config, info: EngineInfo) -> PodNetwork | None:
    if info.kind != "triton":
        return PodNetwork.SHARED
    return PodNetwork.SEPARATE if config.triton_pods == "separate" else None


def _bind(address: Addresses) -> socket.socket:
    try:
        return bind(address.bind_ip, address.port)
    except OSError as error:
        where = f"--ip={address.bind_ip} --port={address.port}"
        raise FatalError(f"{where}: cannot listen there: {error.strerror}") from None


def _describe(config: Config, info: EngineInfo, hostname: str, port: int) -> SlaveInfo:
    """The agent as it registers, without its id."""
    offer = agent_totals(config, info)
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
