"""An agent that may not act sends no request that changes something."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shim.engine.api import ImageRef
from shim.engine.client.endpoint import Endpoint
from shim.engine.client.guard import NotLeading, is_order
from shim.engine.docker import DockerEngine


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("POST /v1.41/containers/create", True),
        ("POST /containers/mesos-1/start", True),
        ("POST /v1.41/containers/mesos-1/stop", True),
        ("DELETE /v1.41/containers/mesos-1", True),
        ("PUT /v1.41/containers/mesos-1/archive", True),
        ("POST /v1.41/volumes/create", True),
        ("GET /v1.41/containers/json", False),
        ("HEAD /v1.41/containers/mesos-1/archive", False),
        ("POST /v1.41/images/create", False),
        ("POST /v1.41/containers/mesos-1/exec", False),
        ("POST /v1.41/exec/abc/start", False),
    ],
)
def test_what_is_an_order(request_line: str, expected: bool) -> None:
    method, path = request_line.split()
    assert is_order(method, path) is expected


class Docker:
    """Notes requests; may end the lease while a request waits for its connection."""

    def __init__(self) -> None:
        self.leads = True
        self.requests: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path}")
        if request.path.endswith("/version"):
            return web.json_response({"ApiVersion": "1.41", "Version": "1"})
        if request.path.endswith("/containers/json"):
            return web.json_response([])
        return web.Response(status=204)


@pytest.fixture
def docker() -> Docker:
    return Docker()


@pytest.fixture
async def engine(docker: Docker) -> AsyncIterator[DockerEngine]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", docker.handle)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        endpoint = Endpoint(url, url)
        engine = DockerEngine(endpoint, shim_id="x", may_act=lambda: docker.leads)
        yield engine
        await engine.close()


async def test_orders_are_sent_while_this_agent_may_act(
    engine: DockerEngine, docker: Docker
) -> None:
    await engine.start("c")
    await engine.stop("c", 1)
    await engine.remove("c")
    assert [line.rpartition("/")[2] for line in docker.requests[1:]] == ["start", "stop", "c"]


async def test_no_order_is_sent_when_it_may_not(engine: DockerEngine, docker: Docker) -> None:
    docker.leads = False
    for call in (engine.start("c"), engine.stop("c", 1), engine.remove("c")):
        with pytest.raises(NotLeading, match="is not sent"):
            await call
    assert await engine.list() == []
    await engine.pull(ImageRef("i:1", "i", "1", "docker.io"), None, lambda text: None)
    assert not [line for line in docker.requests if is_order(*line.split())]


async def test_the_lease_is_checked_when_the_request_has_its_connection(
    engine: DockerEngine, docker: Docker
) -> None:
    await engine.list()
    connect = engine._http._short.connector.connect  # type: ignore[union-attr]

    async def slow(*arguments: object, **named: object) -> object:
        found = await connect(*arguments, **named)  # type: ignore[arg-type]
        docker.leads = False
        return found

    engine._http._short.connector.connect = slow  # type: ignore[union-attr, method-assign]
    with pytest.raises(NotLeading):
        await engine.start("c")
    assert not [line for line in docker.requests if "start" in line]
