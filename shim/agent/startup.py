"""The start of an agent: waiting for the Docker endpoint, and what the services are built from.

An endpoint that does not answer is asked again for as long as it takes. Tasks of an earlier process
may be running, so the agent stays up and its frontend answers the master's pings meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shim import limits
from shim.agent.container_host import bridge_gateway
from shim.agent.executor_silence import PeerAddresses
from shim.agent.launch_specs import LaunchSpecs
from shim.agent.runtime import Journal
from shim.agent.standby import Standby
from shim.config import Config
from shim.config.addresses import Addresses
from shim.engine.api import Engine, EngineInfo
from shim.engine.client.guard import MayAct, always
from shim.engine.client.http_engine import CallObserver
from shim.engine.connect import connect, remote_host
from shim.engine.sandbox.store import SandboxStore
from shim.errors import NotFound, Transient
from shim.http.log_ring import LogRing
from shim.model.container import Container
from shim.model.ids import Pid
from shim.model.volume import Volume
from shim.telemetry.metrics import Metrics
from shim.wire.link import Links
from shim.wire.server import Inbox

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartupContext:
    """What the services of a running agent are built from."""

    config: Config
    journal: Journal
    standby: Standby | None
    """None: the agent shares its journal with no other."""
    engine: Engine
    info: EngineInfo
    shim_id: str
    """On all containers of this shim."""
    pid: Pid
    """The agent's libprocess address."""
    hostname: str
    engine_ip: str | None
    """Of containers on the network of the engine's host; None: unknown, or there are none."""
    specs: LaunchSpecs
    sandboxes: SandboxStore
    """Loaded: it knows the sandboxes of an earlier process."""
    links: Links
    inbox: Inbox
    peers: PeerAddresses
    """Who sends requests and messages to the agent."""
    metrics: Metrics
    log_ring: LogRing
    started: float
    """Start of the process, in seconds since the epoch."""


OnFailure = Callable[[str], None]
"""Called with the reason each time the endpoint does not answer."""


async def connect_engine(
    config: Config,
    shim_id: str,
    on_failure: OnFailure,
    observe_call: CallObserver | None = None,
    may_act: MayAct = always,
) -> Engine:
    """Ask the endpoint which kind of engine it is, until it answers."""
    while True:
        try:
            return await connect(config, shim_id, observe_call, may_act)
        except Transient as error:
            on_failure(str(error))
            log.error("the kind of the Docker endpoint cannot be determined: %s", error)
            await asyncio.sleep(limits.ENDPOINT_RETRY)


async def engine_info(engine: Engine, on_failure: OnFailure) -> EngineInfo:
    """Ask the endpoint for its version, name and size, until it answers."""
    while True:
        try:
            info = await engine.info()
        except Transient as error:
            on_failure(str(error))
            log.error("the Docker endpoint %s does not answer: %s", engine, error)
            await asyncio.sleep(limits.ENDPOINT_RETRY)
            continue
        log.info("Docker endpoint %s: %s", engine, info)
        return info


async def wait_to_act(journal: Journal) -> None:
    """Wait until no other agent of the journal may act."""
    while not journal.may_act():
        try:
            await journal.confirm()
        except Transient as error:
            log.error("recovery waits for the journal: %s", error)
            await asyncio.sleep(limits.DISK_RETRY)


async def volumes_missing(engine: Engine) -> str:
    """Ask the endpoint, once it answers, whether it has volumes."""
    while True:
        try:
            reason = await engine.volumes_missing()
        except Transient as error:
            log.error("whether there are volumes waits for the Docker endpoint: %s", error)
            await asyncio.sleep(limits.ENDPOINT_RETRY)
            continue
        if not reason:
            return ""
        log.warning("tasks with persistent volumes will fail: the endpoint has none: %s", reason)
        return f"This endpoint has no volumes ({reason})"


async def existing_volumes(engine: Engine) -> Sequence[Volume]:
    """All volumes of this shim, listed until the endpoint answers."""
    while True:
        try:
            return await engine.list_volumes()
        except Transient as error:
            log.error("the list of volumes waits for the Docker endpoint: %s", error)
            await asyncio.sleep(limits.ENDPOINT_RETRY)


async def existing_containers(
    engine: Engine, needs_inspect: Callable[[Container], bool]
) -> Sequence[Container]:
    """All containers with this shim's id, listed until the endpoint answers.

    Those that ``needs_inspect`` selects are inspected, the others are as the list shows them.
    """
    while True:
        try:
            return await _list_and_inspect(engine, needs_inspect)
        except Transient as error:
            log.error("recovery waits for the Docker endpoint: %s", error)
            await asyncio.sleep(limits.ENDPOINT_RETRY)


async def _list_and_inspect(
    engine: Engine, needs_inspect: Callable[[Container], bool]
) -> Sequence[Container]:
    slots = asyncio.Semaphore(limits.MAX_INFLIGHT)

    async def inspect(name: str) -> Container | None:
        async with slots:
            try:
                return await engine.inspect(name)
            except NotFound:
                return None

    listed = await engine.list()
    names = [container.name for container in listed if needs_inspect(container)]
    inspected = await asyncio.gather(*map(inspect, names))
    others = [container for container in listed if not needs_inspect(container)]
    return [*others, *(container for container in inspected if container is not None)]


async def engine_address(config: Config, info: EngineInfo, address: Addresses) -> str | None:
    """The IPv4 address of the engine's host, which containers without their own address have.

    None on Triton, where every container has its own address, and if the name cannot be resolved.
    """
    if info.kind == "triton":
        return None
    host = remote_host(config)
    if not host:
        return bridge_gateway() or address.advertise_ip
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, None, family=socket.AF_INET)
    except (OSError, UnicodeError) as error:
        text = "containers on the network of %s are reported without an address: %s"
        log.warning(text, host, error)
        return None
    return str(found[0][4][0])
