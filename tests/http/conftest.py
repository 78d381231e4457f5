from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shim.http.basic_auth import BasicAuth
from shim.http.files import FilesPages
from shim.http.health import EndpointWait
from shim.http.log_ring import LogRing
from shim.http.pages import Page, agent_pages, starting_pages
from shim.http.router import Router
from shim.http.task_json_cache import TaskJsonCache
from shim.http.view import alone
from shim.telemetry.metrics import Metrics
from tests.http.page_data import PageData

Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def serving(
    page_data: PageData, credentials: Mapping[str, str] | None = None, *protected: str
) -> AsyncIterator[Client]:
    """A client of a running agent's pages."""
    view, log_ring = page_data.view, LogRing()
    log_ring.attach()
    pages = agent_pages(view, TaskJsonCache(view), FilesPages(view, log_ring))
    async with _client(pages, BasicAuth(credentials or {}, frozenset(protected))) as client:
        yield client
    log_ring.detach()


@asynccontextmanager
async def serving_start(wait: EndpointWait) -> AsyncIterator[Client]:
    """A client of an agent that waits for its Docker endpoint."""
    pages = starting_pages("1.11.0", {"port": "5051"}, wait.problems, alone)
    async with _client(pages, BasicAuth({}, frozenset())) as client:
        yield client


@asynccontextmanager
async def serving_pages(pages: Mapping[str, Page]) -> AsyncIterator[Client]:
    """A client of these pages, without passwords."""
    async with _client(pages, BasicAuth({}, frozenset())) as client:
        yield client


@asynccontextmanager
async def _client(pages: Mapping[str, Page], auth: BasicAuth) -> AsyncIterator[Client]:
    router = Router(pages, Metrics(), auth, "slave(1)")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", router.handle)
    server = TestServer(app)
    # An event stream is open until its reader or the server ends it.
    await server.start_server(shutdown_timeout=0.1)
    async with TestClient(server) as client:
        yield client


@pytest.fixture
def page_data() -> PageData:
    return PageData()


@pytest.fixture
async def client(page_data: PageData) -> AsyncIterator[Client]:
    async with serving(page_data) as client:
        yield client
