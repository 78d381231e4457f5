"""The API of one Consul agent: python-consul's objects as coroutines, and the calls it lacks.

python-consul's endpoint methods build paths and parameters and return what the transport returns.
:class:`ConsulTransport` returns awaitables, so the endpoint methods do as well. python-consul also
reads environment variables, gives them precedence over arguments and rejects URLs in them; the
constructor here bypasses that code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import consul.base

from shim.discovery.consul_transport import ConsulTransport
from shim.errors import NotFound
from shim.model.settings import ConsulConfig


class ConsulClient(consul.base.Consul):  # type: ignore[misc]
    """One Consul agent. Every call raises Transient, NotFound or Permanent on failure."""

    def __init__(self, config: ConsulConfig) -> None:
        """Reads the token, CA and certificate files. ConfigError names the variable and file."""
        self.url = config.url
        self.http = ConsulTransport(config)
        self.scheme, self.consistency, self.dc = config.scheme, "default", None
        self.token = None  # The transport sends the token as a header.
        self.agent = consul.base.Consul.Agent(self)
        self.health = consul.base.Consul.Health(self)
        self.status = consul.base.Consul.Status(self)

    async def services(self, owner: str) -> Mapping[str, Any]:
        """The Consul agent's services whose Meta has this owner, by service id."""
        params = [("filter", f'Meta.mesos_owner == "{owner}"')]
        return await self.http.get(_mapping, "/v1/agent/services", params)

    async def checks(self, prefix: str) -> Mapping[str, Any]:
        """The checks of services whose id begins with ``prefix``, by check id."""
        params = [("filter", f'ServiceID matches "^{prefix}"')]
        return await self.http.get(_mapping, "/v1/agent/checks", params)

    async def has_service(self, service_id: str) -> bool:
        """Whether the service is registered. Permanent when the token may not read it."""
        try:
            await self.http.get(_mapping, f"/v1/agent/service/{service_id}")
        except NotFound:
            return False
        return True

    async def register(self, body: Mapping[str, Any]) -> None:
        """Register a service, or replace the service and checks of the same id."""
        params = [("replace-existing-checks", "true")]
        await self.http.put(
            consul.base.CB.bool(), "/v1/agent/service/register", params, json.dumps(body)
        )

    async def deregister(self, service_id: str) -> None:
        """Deregister a service. A missing service is not an error."""
        try:
            await self.agent.service.deregister(service_id)
        except NotFound:
            return

    async def update_check(self, check_id: str, passing: bool, note: str) -> None:
        """Update a TTL check. NotFound when the Consul agent does not have the check."""
        update = self.agent.check.ttl_pass if passing else self.agent.check.ttl_fail
        await update(check_id, note)

    async def enter_maintenance(self, service_id: str, reason: str) -> None:
        """Remove the service from DNS and passing queries. NotFound when it is missing."""
        await self.agent.service.maintenance(service_id, "true", reason)

    async def leave_maintenance(self, service_id: str) -> None:
        await self.agent.service.maintenance(service_id, "false")

    async def close(self) -> None:
        await self.http.close()


def _mapping(response: Any) -> Mapping[str, Any]:
    data = json.loads(response.body)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data
