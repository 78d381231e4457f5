"""A running sync against any Consul, and waiting for what it brings about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from shim.discovery.client import ConsulClient
from shim.discovery.config import discovery_config
from shim.discovery.services import Service, ServiceContext
from shim.discovery.sync import ConsulSync


def client_of(address: str, env: Mapping[str, str] | None = None) -> ConsulClient:
    config = discovery_config(address, "all", "mesos", env or {})
    assert config is not None
    return ConsulClient(config)


@asynccontextmanager
async def running(
    address: str,
    site: ServiceContext,
    env: Mapping[str, str] | None = None,
    *,
    me: Callable[[], Service] | None = None,
    interval: float = 0.1,
) -> AsyncIterator[ConsulSync]:
    """One life of a shim; ``interval`` between looks."""
    client = client_of(address, env)
    sync = ConsulSync(client, site, me=me, interval=interval)
    task = asyncio.create_task(sync.run())
    try:
        yield sync
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def settled(sync: ConsulSync) -> bool:
    stats = sync.stats
    return stats.connected and not stats.pending and stats.wanted == stats.known
