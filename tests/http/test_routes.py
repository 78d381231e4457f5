"""Routes, JSONP, gzip and passwords, over HTTP."""

from __future__ import annotations

import json
import time

import pytest
from aiohttp import encode_basic_auth

from shim import limits
from shim.core.registration import State
from shim.http.auth import READONLY
from shim.http.health import troubles_at_start
from tests.http.conftest import Client, serving
from tests.http.world import World, run_tasks


@pytest.mark.parametrize(
    "path",
    [
        "/state",
        "/state/",
        "/state.json",
        "/state/whatever/else",
        "/slave(1)/state",
        "/slave%281%29/state",
        "/slave(1)/state.json",
        "/slave(1)/monitor/statistics",
        "/monitor/statistics.json",
        "/metrics/snapshot",
        "/slave(1)/metrics/snapshot",
        "/containers",
        "/flags",
        "/version",
        "/containerizer/debug",
        "/files/debug.json",
    ],
)
async def test_pages_are_found_under_all_their_names(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 200
    assert answer.content_type == "application/json"
    json.loads(await answer.text())


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/stat", "/slave(2)/state", "/files", "/x/..%2f"]
)
async def test_others_are_not(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 404
    assert await answer.text() == "404 Not Found."


async def test_jsonp_wraps_what_is_json(client: Client) -> None:
    for path in ("/version", "/state", "/metrics/snapshot", "/monitor/statistics"):
        answer = await client.get(path, params={"jsonp": "angular.callbacks._0"})
        body = await answer.text()
        assert answer.headers["Content-Type"] == "text/javascript"
        assert body.startswith("angular.callbacks._0(")
        assert body.endswith(")")
        json.loads(body[len("angular.callbacks._0(") : -1])
    assert (await client.get("/version?jsonp=")).content_type == "application/json"


@pytest.mark.parametrize("name", ["alert(1)", "a b", "<script>", "a;b", "x" * 201, "a-b"])
async def test_jsonp_is_no_way_to_run_anything(client: Client, name: str) -> None:
    answer = await client.get("/version", params={"jsonp": name})
    assert answer.status == 400
    assert answer.content_type == "text/plain"


async def test_gzip_for_those_who_take_it(client: Client, world: World) -> None:
    run_tasks(world.core, 30)
    for path in ("/state", "/metrics/snapshot"):
        plain = await client.get(path, headers={"Accept-Encoding": "identity"})
        packed = await client.get(path, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert set(await plain.json()) == set(await packed.json())
    small = await client.get("/version", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers


async def test_no_cors_headers_as_at_a_stock_agent(client: Client) -> None:
    answer = await client.get("/version", headers={"Origin": "http://elsewhere"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


# --- passwords ------------------------------------------------------------------------------------

OPEN = ("/health", "/version")
CLOSED = ("/state", "/flags", "/files/read?path=/x", "/metrics/snapshot", "/metrics", "/containers")


def knows(principal: str, secret: str) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(principal, secret)}


async def test_reading_needs_a_password_where_that_is_asked_for(world: World) -> None:
    async with serving(world, {"ops": "s:e:c"}, READONLY) as client:
        for path in OPEN:
            assert (await client.get(path)).status == 200
        for path in CLOSED:
            refused = await client.get(path)
            assert refused.status == 401, path
            assert refused.headers["WWW-Authenticate"] == f'Basic realm="{READONLY}"'
            assert await refused.text() == "401 Unauthorized."
            for wrong in (("ops", "x"), ("nobody", ""), ("", "")):
                assert (await client.get(path, headers=knows(*wrong))).status == 401
            assert (await client.get(path, headers=knows("ops", "s:e:c"))).status in (200, 404)


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Bearer eA==", "Basic eA==", "Basic /w=="]
)
async def test_odd_authorization_is_no_authorization(world: World, header: str) -> None:
    async with serving(world, {"ops": "secret"}, READONLY) as client:
        assert (await client.get("/flags", headers={"Authorization": header})).status == 401


async def test_credentials_alone_close_nothing(world: World) -> None:
    async with serving(world, {"ops": "secret"}) as client:
        assert (await client.get("/state")).status == 200


# --- before there is anything to show -------------------------------------------------------------


async def test_an_agent_that_starts_says_so() -> None:
    async with serving(None) as client:
        for path in ("/state", "/files/browse?path=/x", "/metrics/snapshot", "/monitor/statistics"):
            answer = await client.get(path)
            assert answer.status == 503, path
            assert await answer.text() == "Agent has not finished recovery"
        assert (await client.get("/health")).status == 200
        assert (await (await client.get("/flags")).json()) == {"flags": {"port": "5051"}}
        assert (await client.get("/metrics")).status == 200


async def test_no_state_while_recovering(world: World) -> None:
    world.core.registration.state = State.RECOVERING
    async with serving(world) as client:
        assert (await client.get("/state")).status == 503
        assert (await client.get("/metrics/snapshot")).status == 200


async def test_health_says_what_is_wrong(client: Client, world: World) -> None:
    answer = await client.get("/slave(1)/health")
    assert (answer.status, await answer.text()) == (200, "")
    world.core.registration.state = State.DISCONNECTED
    assert (await client.get("/health")).status == 200
    world.pulse.relist_age = limits.HEALTH_RELIST_AGE + 1
    world.pulse.endpoint_trouble = "Unauthorized"
    world.pulse.disk_failing = True
    answer = await client.get("/health")
    assert answer.status == 503
    assert "the Docker endpoint has given no list for 91 s: Unauthorized" in await answer.text()
    assert "--work_dir" in await answer.text()


async def test_health_while_the_endpoint_has_never_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began = time.monotonic()
    async with serving(None) as client:
        late = began + limits.HEALTH_RELIST_AGE + 5
        monkeypatch.setattr("shim.http.routes.time.monotonic", lambda: late)
        answer = await client.get("/health")
        monkeypatch.undo()
        assert answer.status == 503


async def test_health_says_why_an_endpoint_is_still_waited_for() -> None:
    assert troubles_at_start(limits.HEALTH_RELIST_AGE, "Unauthorized") == []
    (said,) = troubles_at_start(99, "Unauthorized")
    assert said == "the Docker endpoint has not said what it is for 99 s: Unauthorized"


async def test_prometheus(client: Client) -> None:
    answer = await client.get("/metrics")
    assert answer.content_type == "text/plain"
    assert "process_resident_memory_bytes" in await answer.text()
