"""Paths, JSONP, gzip, passwords and health, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from unittest import mock

import pytest
from aiohttp import encode_basic_auth, web

from shim import limits
from shim.core.registration import State
from shim.http.basic_auth import READONLY
from shim.http.health import EndpointWait, Liveness
from shim.http.pages import standby_pages
from shim.http.router import unless_stuck
from tests.http.conftest import Client, serving, serving_pages, serving_start
from tests.http.page_data import PageData, run_tasks


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
async def test_pages_are_found_under_all_their_paths(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 200
    assert answer.content_type == "application/json"
    json.loads(await answer.text())


@pytest.mark.parametrize("path", ["/nothing", "/stat", "/slave(2)/state", "/files", "/x/..%2f"])
async def test_other_paths_are_not_found(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 404
    assert await answer.text() == "404 Not Found."


async def test_jsonp_wraps_json_answers(client: Client) -> None:
    for path in ("/version", "/state", "/metrics/snapshot", "/monitor/statistics"):
        answer = await client.get(path, params={"jsonp": "angular.callbacks._0"})
        body = await answer.text()
        assert answer.headers["Content-Type"] == "text/javascript"
        assert body.startswith("angular.callbacks._0(")
        assert body.endswith(")")
        json.loads(body[len("angular.callbacks._0(") : -1])
    assert (await client.get("/version?jsonp=")).content_type == "application/json"


@pytest.mark.parametrize("name", ["alert(1)", "a b", "<script>", "a;b", "x" * 201, "a-b"])
async def test_jsonp_takes_only_names_of_functions(client: Client, name: str) -> None:
    answer = await client.get("/version", params={"jsonp": name})
    assert answer.status == 400
    assert answer.content_type == "text/plain"


async def test_large_answers_are_compressed_for_clients_that_accept_gzip(
    client: Client, page_data: PageData
) -> None:
    run_tasks(page_data.core, 30)
    for path in ("/state", "/metrics/snapshot"):
        plain = await client.get(path, headers={"Accept-Encoding": "identity"})
        compressed = await client.get(path, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in plain.headers
        assert compressed.headers["Content-Encoding"] == "gzip"
        assert set(await plain.json()) == set(await compressed.json())
    small = await client.get("/version", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers


async def test_no_cors_headers_as_at_a_stock_agent(client: Client) -> None:
    answer = await client.get("/version", headers={"Origin": "http://elsewhere"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


# --- passwords ------------------------------------------------------------------------------------

WITHOUT_PASSWORD = ("/health", "/version")
WITH_PASSWORD = (
    "/state",
    "/flags",
    "/files/read?path=/x",
    "/metrics/snapshot",
    "/metrics",
    "/containers",
)


def credentials(principal: str, secret: str) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(principal, secret)}


async def test_a_protected_realm_needs_a_password(page_data: PageData) -> None:
    async with serving(page_data, {"ops": "s:e:c"}, READONLY) as client:
        for path in WITHOUT_PASSWORD:
            assert (await client.get(path)).status == 200
        for path in WITH_PASSWORD:
            refused = await client.get(path)
            assert refused.status == 401, path
            assert refused.headers["WWW-Authenticate"] == f'Basic realm="{READONLY}"'
            assert await refused.text() == "401 Unauthorized."
            for wrong in (("ops", "x"), ("unknown", ""), ("", "")):
                assert (await client.get(path, headers=credentials(*wrong))).status == 401
            assert (await client.get(path, headers=credentials("ops", "s:e:c"))).status in (
                200,
                404,
            )


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Bearer eA==", "Basic eA==", "Basic /w=="]
)
async def test_a_malformed_authorization_header_is_refused(
    page_data: PageData, header: str
) -> None:
    async with serving(page_data, {"ops": "secret"}, READONLY) as client:
        assert (await client.get("/flags", headers={"Authorization": header})).status == 401


async def test_credentials_alone_protect_nothing(page_data: PageData) -> None:
    async with serving(page_data, {"ops": "secret"}) as client:
        assert (await client.get("/state")).status == 200


# --- start and health ----------------------------------------------------------------------------


async def test_a_starting_agent_answers_503_for_tasks() -> None:
    async with serving_start(EndpointWait()) as client:
        for path in ("/state", "/files/browse?path=/x", "/metrics/snapshot", "/monitor/statistics"):
            answer = await client.get(path)
            assert answer.status == 503, path
            assert await answer.text() == "Agent has not finished recovery"
        assert (await client.get("/health")).status == 200
        assert (await (await client.get("/flags")).json()) == {"flags": {"port": "5051"}}
        assert (await (await client.get("/version")).json())["version"] == "1.11.0"
        assert (await client.get("/metrics")).status == 200
        for path in ("/files/debug", "/containerizer/debug"):
            assert (await client.get(path)).status == 404, path


async def test_state_answers_503_during_recovery(page_data: PageData) -> None:
    page_data.core.registration.state = State.RECOVERING
    async with serving(page_data) as client:
        assert (await client.get("/state")).status == 503
        assert (await client.get("/metrics/snapshot")).status == 200


async def test_health_says_what_is_wrong(client: Client, page_data: PageData) -> None:
    answer = await client.get("/slave(1)/health")
    assert (answer.status, await answer.text()) == (200, "")
    page_data.core.registration.state = State.DISCONNECTED
    assert (await client.get("/health")).status == 200
    page_data.liveness = Liveness(limits.HEALTH_RELIST_AGE + 1, "Unauthorized", disk_failing=True)
    answer = await client.get("/health")
    assert answer.status == 503
    assert "the Docker endpoint has given no list for 91 s: Unauthorized" in await answer.text()
    assert "--work_dir" in await answer.text()


async def test_health_says_why_the_endpoint_has_not_answered_yet() -> None:
    now = 100.0
    wait = EndpointWait(clock=lambda: now)
    wait.failed("Unauthorized")
    async with serving_start(wait) as client:
        now += limits.HEALTH_RELIST_AGE
        assert (await client.get("/health")).status == 200
        now += 9
        answer = await client.get("/health")
        assert answer.status == 503
        reason = "the kind of the Docker endpoint has been unknown for 99 s: Unauthorized\n"
        assert await answer.text() == reason


async def test_health_says_why_a_journal_in_zookeeper_takes_no_records(
    client: Client, page_data: PageData
) -> None:
    page_data.liveness = Liveness(disk_failing=True, journal_problem="no quorum")
    answer = await client.get("/health")
    assert answer.status == 503
    assert await answer.text() == "the journal in ZooKeeper takes no records: no quorum\n"


async def test_an_agent_that_shares_its_journal_with_no_other_leads(client: Client) -> None:
    answer = await client.get("/slave(1)/leader")
    assert (answer.status, await answer.json()) == (200, {"leading": True, "journal": "sqlite"})


async def test_a_standby_says_who_leads() -> None:
    problems: list[str] = []
    shown = {"leading": False, "leader": "10.0.0.9:5051 (host a, pid 1)"}
    pages = standby_pages("1.11.0", {"port": "5051"}, lambda: problems, lambda: shown)
    async with serving_pages(pages) as client:
        answer = await client.get("/health")
        expected = "standby: 10.0.0.9:5051 (host a, pid 1) leads\n"
        assert (answer.status, await answer.text()) == (200, expected)
        answer = await client.get("/")
        assert (answer.status, await answer.text()) == (200, expected)
        answer = await client.get("/leader")
        assert (answer.status, await answer.json()) == (503, shown)
        answer = await client.get("/slave(1)/state.json")
        assert (answer.status, await answer.text()) == (503, expected)
        assert (await client.get("/flags")).status == 200
        problems.append("ZooKeeper at z:2181 does not answer")
        answer = await client.get("/health")
        assert (answer.status, await answer.text()) == (503, problems[0] + "\n")


async def test_prometheus_has_only_its_exact_paths(client: Client) -> None:
    for path in ("/metrics", "/slave(1)/metrics"):
        answer = await client.get(path)
        assert answer.content_type == "text/plain"
        assert "process_resident_memory_bytes" in await answer.text()
    for path in ("/metrics/", "/metrics/x", "/metrics.json"):
        assert (await client.get(path)).status == 404, path
    assert (await client.post("/metrics")).status == 404


async def test_a_reader_that_takes_no_events_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAM_WRITE_TIMEOUT", 0.05)
    request, closed = mock.Mock(spec=web.Request, path="/live/events"), asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"event"
                await asyncio.sleep(0.1)
        finally:
            closed.set()

    reading = unless_stuck(request, events())
    assert [await anext(reading), await anext(reading)] == [b"event"] * 2
    request.transport.abort.assert_not_called()
    await asyncio.sleep(0.1)
    request.transport.abort.assert_called_once_with()
    await reading.aclose()
    assert closed.is_set()
