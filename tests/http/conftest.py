from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shim.http.auth import BasicAuth
from shim.http.routes import Routes
from shim.telemetry.log import Metrics
from tests.http.world import World

Client = TestClient[web.Request, web.Application]
Serving = Callable[..., AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def serving(
    world: World | None, credentials: Mapping[str, str] | None = None, *closed: str
) -> AsyncIterator[Client]:
    """A client of the pages; None: of an agent that still starts."""
    gate = BasicAuth(credentials or {}, frozenset(closed))
    site = Routes(gate, "slave(1)", "1.11.0", {"port": "5051"}, Metrics())
    app = web.Application()
    site.setup(app)
    if world is not None:
        site.open(world.sources)
    async with TestClient(TestServer(app)) as client:
        yield client
    site.close()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    async with serving(world) as client:
        yield client
