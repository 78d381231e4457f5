"""A running ConsulSync against a fake or real Consul, and waiting for its effects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from shim.config.consul import consul_config
from shim.discovery.consul_client import ConsulClient
from shim.discovery.services import Service, ServiceContext
from shim.discovery.sync import ConsulSync


def client_of(address: str, env: Mapping[str, str] | None = None) -> ConsulClient:
    config = consul_config(address, "all", "mesos", env or {})
    assert config is not None
    return ConsulClient(config)


@asynccontextmanager
async def running(
    address: str,
    context: ServiceContext,
    env: Mapping[str, str] | None = None,
    *,
    own_service: Callable[[], Service] | None = None,
    interval: float = 0.1,
) -> AsyncIterator[ConsulSync]:
    """One run of the sync, with ``interval`` seconds between resyncs."""
    client = client_of(address, env)
    sync = ConsulSync(client, context, own_service=own_service, interval=interval)
    task = asyncio.create_task(sync.run())
    try:
        yield sync
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


def in_sync(sync: ConsulSync) -> bool:
    stats = sync.stats
    desired = len(sync._desired.services)
    return stats.connected and not stats.pending and stats.registered == desired
