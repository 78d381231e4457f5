"""Waiting for the Docker endpoint: what it is, what it holds, where its host is.

An endpoint that does not answer is asked again for as long as it takes: the agent's tasks are
there, whether it can see them or not, and pings are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

from shim import limits
from shim.config import Config
from shim.config.addresses import Addresses
from shim.engine.api import Engine, EngineInfo
from shim.engine.client.http_engine import CallObserver
from shim.engine.connect import connect, remote_host
from shim.errors import NotFound, Transient
from shim.model.container import Container

log = logging.getLogger(__name__)


Tell = Callable[[str], None]
"""Hears why the endpoint is still waited for."""


async def connected(
    config: Config, owner: str, tell: Tell, observe_call: CallObserver | None = None
) -> Engine:
    """The engine; asked which kind it is until it says."""
    while True:
        try:
            return await connect(config, owner, observe_call)
        except Transient as error:
            tell(str(error))
            log.error("the Docker endpoint does not say what it is: %s", error)
            await asyncio.sleep(limits.ENDPOINT_RETRY)


async def answer(engine: Engine, tell: Tell) -> EngineInfo:
    """What the endpoint is; asked until it answers, pings are answered meanwhile."""
    while True:
        try:
            info = await engine.info()
        except Transient as error:
            tell(str(error))
            log.error("the Docker endpoint %s gives no answer: %s", engine, error)
            await asyncio.sleep(limits.ENDPOINT_RETRY)
            continue
        log.info("Docker endpoint %s: %s", engine, info)
        return info


async def containers(
    engine: Engine, needs_inspect: Callable[[Container], bool]
) -> Sequence[Container]:
    """All containers of ours, asked for until the endpoint tells."""
    while True:
        try:
            return await _look(engine, needs_inspect)
        except Transient as error:
            log.error("recovery waits for the Docker endpoint: %s", error)
            await asyncio.sleep(limits.ENDPOINT_RETRY)


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


async def host_address(config: Config, info: EngineInfo, address: Addresses) -> str | None:
    """Where containers without an address of their own are: the engine's host, if it has one."""
    if info.kind == "triton":
        return None
    host = remote_host(config)
    if not host:
        return address.advertise_ip
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, None, family=socket.AF_INET)
    except (OSError, UnicodeError) as error:
        log.warning("containers on the network of %s are told without address: %s", host, error)
        return None
    return str(found[0][4][0])
