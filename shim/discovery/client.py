"""A Consul agent's API: python-consul's objects, awaitable, and the calls it lacks.

python-consul knows paths, parameters and answers; its endpoint methods return whatever the
transport returns, so with ours they return awaitables. Its own reading of the environment,
which wins over arguments and rejects URLs, is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import consul.base

from shim.discovery.config import DiscoveryConfig
from shim.discovery.transport import Http
from shim.errors import NotFound


class ConsulClient(consul.base.Consul):  # type: ignore[misc]
    """One Consul agent: what python-consul offers, awaitable, and what it lacks."""

    def __init__(self, config: DiscoveryConfig) -> None:
        """Reads the token, CA and certificate files: ConfigError names the variable and file."""
        self.url = config.url
        self.http = Http(config)
        self.scheme, self.consistency, self.dc = config.scheme, "default", None
        self.token = None  # It goes with each request, in the header.
        self.agent = consul.base.Consul.Agent(self)
        self.health = consul.base.Consul.Health(self)
        self.status = consul.base.Consul.Status(self)

    async def services(self, owner: str) -> Mapping[str, Any]:
        """The agent's services that bear this owner mark, by id."""
        params = [("filter", f'Meta.mesos_owner == "{owner}"')]
        return await self.http.get(_mapping, "/v1/agent/services", params)

    async def checks(self, prefix: str) -> Mapping[str, Any]:
        """The agent's checks of services whose id starts so, by id."""
        params = [("filter", f'ServiceID matches "^{prefix}"')]
        return await self.http.get(_mapping, "/v1/agent/checks", params)

    async def has(self, service_id: str) -> bool:
        """Whether the agent has that service; Permanent when we may not know."""
        try:
            await self.http.get(_mapping, f"/v1/agent/service/{service_id}")
        except NotFound:
            return False
        return True

    async def register(self, body: Mapping[str, Any]) -> None:
        """Register, or change what is registered under that id, checks included."""
        params = [("replace-existing-checks", "true")]
        await self.http.put(
            consul.base.CB.bool(), "/v1/agent/service/register", params, json.dumps(body)
        )

    async def deregister(self, service_id: str) -> None:
        """One that is not there is fine."""
        try:
            await self.agent.service.deregister(service_id)
        except NotFound:
            return

    async def report(self, check_id: str, passing: bool, note: str) -> None:
        """Feed a TTL check. NotFound when the agent lost it: register again."""
        tell = self.agent.check.ttl_pass if passing else self.agent.check.ttl_fail
        await tell(check_id, note)

    async def maintain(self, service_id: str, reason: str) -> None:
        """Take it out of DNS and of passing queries. NotFound when it is not there."""
        await self.agent.service.maintenance(service_id, "true", reason)

    async def resume(self, service_id: str) -> None:
        await self.agent.service.maintenance(service_id, "false")

    async def close(self) -> None:
        await self.http.close()


def _mapping(response: Any) -> Mapping[str, Any]:
    data = json.loads(response.body)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data
