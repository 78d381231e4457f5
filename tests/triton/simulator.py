"""A running simulator with one account and its client certificate, and a client for tests."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec

from shim.certs import login_files
from shim.certs.certificate import new_style
from tests.support.login import write_login
from tests.triton.accounts import Account
from tests.triton.backends import Backend, SimulatedBackend
from tests.triton.datacenter import Datacenter
from tests.triton.options import Options
from tests.triton.server import Endpoint

ACCOUNT = "alice"


@dataclass(slots=True)
class TritonSimulator:
    """A datacenter that serves, and what a client needs to log in."""

    endpoint: Endpoint
    account: Account
    key: Any
    """The account's SSH key."""
    certs: Path
    """``key.pem``, ``cert.pem`` and ``ca.pem``, as DOCKER_CERT_PATH wants them."""

    @property
    def datacenter(self) -> Datacenter:
        return self.endpoint.datacenter

    @property
    def options(self) -> Options:
        return self.endpoint.datacenter.options

    @property
    def remaining(self) -> list[str]:
        """Names of the machines that are billed now, or will be once they are provisioned."""
        return self.datacenter.remaining()

    def check_nothing_is_billed(self) -> None:
        """AssertionError when a machine remains, running or not, or another hour would cost."""
        assert self.remaining == [], "machines remain that are billed"
        now = time.time()
        assert self.datacenter.bill(now + 3600) == self.datacenter.bill(now)

    def context(self, certs: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.certs / "ca.pem")
        if certs is not None:
            context.load_cert_chain(certs / "cert.pem", certs / "key.pem")
        return context

    def environment(self) -> str:
        return login_files.env_script(self.certs, login_endpoint(self.endpoint))


def login_endpoint(endpoint: Endpoint) -> login_files.LoginEndpoint:
    return login_files.LoginEndpoint(endpoint.docker_host, True, endpoint.ca.read_bytes())


@asynccontextmanager
async def run_simulator(
    directory: Path,
    options: Options | None = None,
    backend: Backend | None = None,
    port: int = 0,
    *,
    must_end_empty: bool = False,
) -> AsyncIterator[TritonSimulator]:
    """A simulator that serves, with one account whose certificate lies in ``directory``.

    ``must_end_empty``: AssertionError at the end if a machine remains that is billed.
    """
    datacenter = Datacenter(backend or SimulatedBackend(), options)
    key = ec.generate_private_key(ec.SECP256R1())
    account = datacenter.accounts[ACCOUNT] = Account(ACCOUNT, [key.public_key()])
    server_directory = directory / "server"
    server_directory.mkdir(exist_ok=True)
    async with Endpoint(datacenter, server_directory, port) as endpoint:
        certificate = new_style(ACCOUNT, key, datetime.now(UTC))
        write_login(directory, certificate, login_endpoint(endpoint))
        simulator = TritonSimulator(endpoint, account, key, directory)
        yield simulator
        if must_end_empty:
            simulator.check_nothing_is_billed()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Any

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A plain HTTPS client that sends exactly what a test gives it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, context: ssl.SSLContext) -> None:
        self._session, self._url, self._context = session, url, context

    async def __call__(self, method: str, path: str, **more: Any) -> Answer:
        async with self._session.request(
            method, self._url + path, ssl=self._context, **more
        ) as answer:
            return Answer(answer.status, await answer.read(), answer.headers)

    async def create(self, name: str = "c1", query: str = "", **changes: Any) -> Answer:
        """A valid create with ``changes`` to its body; ``...`` drops a field."""
        body = {"Image": "busybox:latest", "Cmd": ["sleep"], "HostConfig": {}, "Labels": {}}
        body = {key: value for key, value in {**body, **changes}.items() if value is not ...}
        return await self("POST", f"/v1.21/containers/create?name={name}{query}", json=body)

    async def run(self, name: str = "c1", **changes: Any) -> Answer:
        made = await self.create(name, **changes)
        assert made.status == 200, made.text
        return await self("POST", f"/v1.21/containers/{name}/start")

    async def inspect(self, name: str = "c1") -> Any:
        answer = await self("GET", f"/v1.21/containers/{name}/json")
        assert answer.status == 200, answer.text
        return answer.json

    async def listed(self, query: str = "") -> Any:
        answer = await self("GET", f"/v1.21/containers/json?all=1{query}")
        assert answer.status == 200, answer.text
        return answer.json


@asynccontextmanager
async def client(triton: TritonSimulator, *, certificate: bool = True) -> AsyncIterator[Client]:
    context = triton.context(triton.certs if certificate else None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Client(session, triton.endpoint.url, context)
