"""Putting the agent together: one process, one loop, every room plugged into the runtime."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence

from aiohttp import web

from shim import limits, runtime
from shim.config import Config
from shim.config.addresses import Addresses, find_addresses
from shim.config.master import detector_for
from shim.config.offer import offer_of
from shim.core.agent import Core
from shim.core.context import Settings
from shim.discovery.client import ConsulClient
from shim.discovery.services import Service, Site, agent_service
from shim.discovery.sync import ConsulSync
from shim.effects import Effects
from shim.engine.api import ContainerSpec, Engine, EngineInfo
from shim.engine.checks.checker import Checker
from shim.engine.conductor import Conductor
from shim.engine.connect import connect, remote_host
from shim.engine.fetch.fetcher import Fetcher
from shim.engine.fetch.sandbox import with_sandbox
from shim.engine.mapping import Rules, container_spec
from shim.errors import FatalError, NotFound, Transient
from shim.identity import check_reservations, check_unchanged, keep_hostname, shim_id
from shim.journal import Journal
from shim.messenger import Messenger
from shim.model.container import Container
from shim.model.facts import ContainersFound, Fact, LeaveRequested, MasterDetected
from shim.model.ids import Pid
from shim.model.orders import Exit, Launch
from shim.model.records import Snapshot
from shim.pages import Pages
from shim.protos.mesos_pb2 import SlaveInfo
from shim.upkeep import kept_up
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
        self._pages = Pages(config, PROCESS, MESOS_VERSION)
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
        engine = await _connected(config, owner)
        try:
            info = await _answer(engine)
            await self._pages.attach(engine)
            return await self._act(address, pid, owner, engine, info)
        finally:
            await engine.close()

    async def _act(
        self, address: Addresses, pid: Pid, owner: str, engine: Engine, info: EngineInfo
    ) -> Exit:
        config = self._config
        described = _describe(config, info, address.hostname, pid.port)
        check_unchanged(self._snapshot, described, pid.ip)
        check_reservations(self._snapshot, described)
        settings = Settings(
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
            engine_ip=await _engine_ip(config, info, address),
        )
        core = Core(settings, runtime.SystemEntropy(), self._snapshot, runtime.now())
        # The core holds what it needs; ten thousand tasks twice would be a waste.
        self._snapshot = Snapshot.empty()
        loop = runtime.Runtime(core, self._journal)
        pages, post = self._pages, self._pages.hearing(loop.post)
        rules = self._rules(info, owner)
        fetcher = self._fetcher(engine, rules)
        conductor = self._conductor(engine, info, rules, fetcher, post)
        checker = self._checker(engine, loop, address)
        discovery = self._discovery(core, info, owner, address, pid)
        effects = Effects(self._messenger, conductor, checker, discovery)
        self._messenger.open(loop.post)
        pages.open(core, loop, conductor, self._messenger, discovery)
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(conductor.run(), name="watch"),
                group.create_task(checker.run(), name="checks"),
                group.create_task(pages.run(), name="pages"),
                group.create_task(self._lead(loop), name="detector"),
                group.create_task(self._recover(engine, core, loop, discovery), name="recovery"),
                group.create_task(self._leaver(loop), name="leaver"),
            ]
            if discovery is not None:
                beside.append(group.create_task(kept_up("Consul", discovery.run), name="consul"))
            try:
                ended = await loop.run(pages.seeing(effects.carry_out))
            finally:
                for task in beside:
                    task.cancel()
                await loop.close()
                await effects.close()
                if discovery is not None and self._leave.is_set():
                    await discovery.withdraw_agent(limits.WITHDRAW_PATIENCE)
                await checker.close()
                await conductor.close()
                await pages.close()
                await fetcher.close()
        return ended

    def _rules(self, info: EngineInfo, owner: str) -> Rules:
        config = self._config
        return Rules(
            shim_id=owner,
            kind="triton" if info.kind == "triton" else "docker",
            api_version=info.api_version,
            sandbox_directory=config.sandbox_directory,
            default_container_dns=config.default_container_dns,
            ports=config.ports.mode,
            host_memory_mb=info.memory_mb,
            enable_cfs=config.cgroups_enable_cfs,
            triton_unsupported=config.triton_unsupported,
        )

    def _fetcher(self, engine: Engine, rules: Rules) -> Fetcher:
        config = self._config
        return Fetcher(
            engine,
            rules,
            config.work_dir / "fetch",
            cache_directory=config.fetcher_cache_dir,
            cache_size=config.fetcher_cache_size,
            docker_config=config.docker_config,
            file_root=config.fetcher_file_root,
        )

    def _conductor(
        self,
        engine: Engine,
        info: EngineInfo,
        rules: Rules,
        fetcher: Fetcher,
        post: Callable[[Fact], None],
    ) -> Conductor:
        config = self._config

        def make_spec(order: Launch) -> ContainerSpec:
            spec = container_spec(
                order.ref,
                order.task,
                agent_id=order.agent_id,
                executor_id=order.executor_id,
                rules=rules,
            )
            return spec if rules.triton else with_sandbox(spec, rules.sandbox_directory)

        return Conductor(
            engine,
            post,
            make_spec,
            auth_for=fetcher.auth_for,
            hooks=[fetcher],
            last_words=self._pages.last_words,
            max_inflight=config.max_inflight or _inflight(info),
            registration_timeout=config.executor_registration_timeout,
        )

    def _checker(self, engine: Engine, loop: runtime.Runtime, address: Addresses) -> Checker:
        if engine.kind == "triton":
            return Checker(engine, loop.post, execs_at_once=limits.TRITON_EXECS_AT_ONCE)
        host = remote_host(self._config) or address.advertise_ip
        return Checker(engine, loop.post, host=host)

    def _discovery(
        self, core: Core, info: EngineInfo, owner: str, address: Addresses, pid: Pid
    ) -> ConsulSync | None:
        consul = self._config.discovery
        if consul is None:
            return None
        host = remote_host(self._config) or address.hostname
        site = Site(owner, info.name, host, consul.register, consul.checks)

        def me() -> Service:
            """The agent's own service; healthy while a master knows it."""
            ctx = core.ctx
            return agent_service(site, ctx.agent_id or "", pid.ip, pid.port, ctx.connected)

        return ConsulSync(ConsulClient(consul), site, me=me)

    async def _lead(self, loop: runtime.Runtime) -> None:
        detector = detector_for(self._config.master)
        await detector.run(lambda pid: loop.post(MasterDetected(pid)))

    async def _leaver(self, loop: runtime.Runtime) -> None:
        await self._leave.wait()
        loop.post(LeaveRequested())

    async def _recover(
        self, engine: Engine, core: Core, loop: runtime.Runtime, discovery: ConsulSync | None
    ) -> None:
        """The one look at the endpoint that turns a journal into a state."""
        while True:
            try:
                containers = await _look(engine, core.recovery.needs_inspect())
                break
            except Transient as error:
                log.error("recovery waits for the Docker endpoint: %s", error)
                await asyncio.sleep(limits.ENDPOINT_RETRY)
        loop.post(ContainersFound(tuple(containers)))
        await loop.settled()
        if discovery is not None:
            discovery.ready()


async def _engine_ip(config: Config, info: EngineInfo, address: Addresses) -> str | None:
    """Where containers without an address of their own are: the engine's host, if it has one."""
    if info.kind == "triton":
        return None
    host = remote_host(config)
    if not host:
        return address.advertise_ip
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, None, family=socket.AF_INET)
    except OSError as error:
        log.warning("containers on the network of %s are told without address: %s", host, error)
        return None
    return str(found[0][4][0])


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
        domain=config.domain,
    )


def _inflight(info: EngineInfo) -> int:
    """A local engine has a knee; on Triton launches wait for provisioning, so all at once."""
    return limits.TRITON_MAX_INFLIGHT if info.kind == "triton" else limits.MAX_INFLIGHT


async def _connected(config: Config, owner: str) -> Engine:
    """The engine; asked which kind it is until it says."""
    while True:
        try:
            return await connect(config, owner)
        except Transient as error:
            log.error("the Docker endpoint does not say what it is: %s", error)
            await asyncio.sleep(limits.ENDPOINT_RETRY)


async def _answer(engine: Engine) -> EngineInfo:
    """What the endpoint is; asked until it answers, pings are answered meanwhile."""
    while True:
        try:
            info = await engine.info()
        except Transient as error:
            log.error("the Docker endpoint %s does not answer: %s", engine, error)
            await asyncio.sleep(limits.ENDPOINT_RETRY)
            continue
        log.info(
            "Docker endpoint %s: %s %s (API %s), %g cpus, %d MB",
            engine,
            info.name,
            info.version,
            info.api_version,
            info.cpus,
            info.memory_mb,
        )
        return info


async def _look(engine: Engine, needs_inspect: Callable[[Container], bool]) -> Sequence[Container]:
    """All containers of ours; in full where that is needed, a few inspects at a time."""
    gate = asyncio.Semaphore(limits.MAX_INFLIGHT)

    async def inspect(name: str) -> Container | None:
        async with gate:
            try:
                return await engine.inspect(name)
            except NotFound:
                return None

    listed = await engine.list()
    wanted = [container.name for container in listed if needs_inspect(container)]
    looked = await asyncio.gather(*map(inspect, wanted))
    enough = [container for container in listed if not needs_inspect(container)]
    return [*enough, *(container for container in looked if container is not None)]
