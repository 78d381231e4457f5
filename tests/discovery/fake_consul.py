"""A fake Consul agent in memory: the API calls that the shim uses, with counters and faults.

Its answers are those of Consul 1.8.7.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

from aiohttp import web

from shim.discovery.services import Service


class FakeConsul:
    def __init__(self) -> None:
        self.services: dict[str, dict[str, Any]] = {}
        self.checks: dict[str, dict[str, Any]] = {}
        self.writes: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        """Registrations and deregistrations by service id."""
        self.failed = 0
        """Reports that a check fails."""
        self.reads = 0
        self.hides_services = False
        """Lists are empty, as for a token without read permission."""
        self.refusal: tuple[int, str] | None = None
        """Status and text of every answer, if not None."""
        self.refuse_names: set[str] = set()
        self.answers_requests = asyncio.Event()
        """While it is cleared no request is answered."""
        self.answers_requests.set()
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application(middlewares=[self._refuse])
        app.add_routes(
            [
                web.get("/v1/agent/services", self._list_services),
                web.get("/v1/agent/checks", self._list_checks),
                web.get("/v1/agent/service/{id}", self._get),
                web.put("/v1/agent/service/register", self._register),
                web.put("/v1/agent/service/deregister/{id}", self._deregister),
                web.put("/v1/agent/service/maintenance/{id}", self._maintain),
                web.put("/v1/agent/check/{verb}/{id}", self._report),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        context = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await context.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def add(self, service: Service) -> None:
        """Add a service as if it had been registered."""
        body = service.body
        check = body.pop("Check")
        body["Service"] = body.pop("Name")
        self.services[service.id] = body
        self.checks[check["CheckID"]] = {
            "Status": check["Status"],
            "Notes": "",
            "ServiceID": service.id,
            "ttl": "TTL" in check,
        }

    @web.middleware
    async def _refuse(self, request: web.Request, handler: Any) -> web.StreamResponse:
        await self.answers_requests.wait()
        if self.refusal is not None:
            return web.Response(status=self.refusal[0], text=self.refusal[1])
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _list_services(self, request: web.Request) -> web.Response:
        self.reads += 1
        owner = re.fullmatch(r'Meta\.mesos_owner == "(.*)"', request.query["filter"])
        assert owner is not None
        return web.json_response(
            {
                key: service
                for key, service in self.services.items()
                if service["Meta"].get("mesos_owner") == owner[1] and not self.hides_services
            }
        )

    async def _list_checks(self, request: web.Request) -> web.Response:
        prefix = re.fullmatch(r'ServiceID matches "\^(.*)"', request.query["filter"])
        assert prefix is not None
        return web.json_response(
            {
                key: check
                for key, check in self.checks.items()
                if check["ServiceID"].startswith(prefix[1]) and not self.hides_services
            }
        )

    async def _get(self, request: web.Request) -> web.Response:
        service = self.services.get(request.match_info["id"])
        if service is None:
            return web.Response(status=404, text="unknown service ID")
        return web.json_response(service)

    async def _register(self, request: web.Request) -> web.Response:
        assert request.query["replace-existing-checks"] == "true"
        body = await request.json()
        if body["Name"] in self.refuse_names:
            return web.Response(status=403, text="Permission denied: Missing service:write")
        self.writes["register"] += 1
        check = body.pop("Check")
        body["Service"] = body.pop("Name")
        self.changed[body["ID"]] += 1
        old = self.checks.get(check["CheckID"])
        self._forget_checks(body["ID"])
        self.services[body["ID"]] = body
        ttl = "TTL" in check
        self.checks[check["CheckID"]] = {
            "Status": old["Status"] if old and old["ttl"] and ttl else check["Status"],
            "Notes": "",
            "ServiceID": body["ID"],
            "ttl": ttl,
        }
        return web.Response()

    async def _deregister(self, request: web.Request) -> web.Response:
        self.writes["deregister"] += 1
        key = request.match_info["id"]
        self.changed[key] += 1
        if self.services.pop(key, None) is None:
            return web.Response(status=500, text=f"Unknown service {key!r}")
        self._forget_checks(key)
        return web.Response()

    async def _maintain(self, request: web.Request) -> web.Response:
        self.writes["maintenance"] += 1
        key = request.match_info["id"]
        if key not in self.services:
            return web.Response(status=404, text=f"No service registered with ID {key!r}")
        check = f"_service_maintenance:{key}"
        self.checks.pop(check, None)
        if request.query["enable"] == "true":
            self.checks[check] = {
                "Status": "critical",
                "Notes": request.query["reason"],
                "ServiceID": key,
                "ttl": False,
            }
        return web.Response()

    async def _report(self, request: web.Request) -> web.Response:
        self.writes["report"] += 1
        self.failed += request.match_info["verb"] == "fail"
        check = self.checks.get(request.match_info["id"])
        if check is None or not check["ttl"]:
            return web.Response(status=500, text="CheckID does not have associated TTL")
        check["Status"] = {"pass": "passing", "fail": "critical"}[request.match_info["verb"]]
        return web.Response()

    def _forget_checks(self, key: str) -> None:
        for name in [name for name, check in self.checks.items() if check["ServiceID"] == key]:
            del self.checks[name]
