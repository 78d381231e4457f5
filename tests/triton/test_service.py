"""Calls that do not exist, maintenance, random errors, and calls that are cut off."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from tests.support.wait import until
from tests.triton.machines import State
from tests.triton.simulator import Client, TritonSimulator


async def test_events_are_refused_before_login(triton: TritonSimulator) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{triton.endpoint.url}/v1.21/events"
        async with session.get(url, ssl=triton.context()) as answer:
            assert answer.status == 400
            assert (await answer.text()).startswith("(NotImplemented) ")


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("POST", "/containers/c1/pause", {400}),
        ("POST", "/containers/c1/unpause", {400}),
        ("GET", "/containers/c1/changes", {400}),
        ("POST", "/containers/c1/update", {404, 405}),
        ("POST", "/containers/prune", {404, 405}),
        ("POST", "/networks/create", {400}),
        ("GET", "/system/df", {404, 405}),
        ("GET", "/swarm", {404, 405}),
    ],
)
async def test_calls_that_triton_does_not_implement(
    call: Client, method: str, path: str, statuses: set[int]
) -> None:
    await call.create()
    assert (await call(method, path)).status in statuses


async def test_maintenance_refuses_a_create_with_retry_after_and_answers_gets(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.maintenance = "Back soon"
    triton.options.maintenance_until = time.time() + 600
    answer = await call.create()
    assert answer.status == 503
    assert answer.text.startswith("Back soon (")
    until = parsedate_to_datetime(answer.headers["Retry-After"]).timestamp()
    assert 599 < until - time.time() < 602
    assert await call.listed() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/containers/c1/start"),
        ("POST", "/containers/c1/stop"),
        ("DELETE", "/containers/c1?force=1"),
        ("PUT", "/containers/c1/archive?path=/tmp"),
        ("POST", "/images/create?fromImage=a&tag=b"),
    ],
)
async def test_maintenance_refuses_each_call_that_changes_something(
    triton: TritonSimulator, call: Client, method: str, path: str
) -> None:
    await call.run()
    triton.options.maintenance = "Back soon"
    answer = await call(method, path)
    assert (answer.status, answer.text.split(" (")[0]) == (503, "Back soon")
    assert "Retry-After" not in answer.headers, "no end is set"
    assert (await call.inspect())["State"]["Running"] is True


async def test_random_errors_have_no_code(triton: TritonSimulator, call: Client) -> None:
    triton.options.error_rate = 1.0
    answer = await call("GET", "/info")
    assert answer.status == 500
    assert not answer.text.startswith("(")


async def test_a_long_stop_is_cut_off_but_goes_on(triton: TritonSimulator, call: Client) -> None:
    await call.run(Env=["SIM_IGNORE_TERM=1"])
    triton.options.idle_seconds = 0.1
    with pytest.raises(aiohttp.ClientError):
        await call("POST", "/containers/c1/stop?t=1")
    await until(lambda: triton.datacenter.machines[0].state is State.STOPPED)
