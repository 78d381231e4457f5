"""Where a probe goes when the first place gives no connection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from shim.engine.api import ExecResult
from shim.engine.checks.probe_result import ProbeResult, ProbeStatus
from shim.engine.checks.route import Prober, Route, published
from shim.engine.checks.spec import Http, Target, Tcp
from shim.model.container import Container, Phase
from tests.engine.checks.orders import LABELS, order
from tests.engine.checks.test_network_probe import serving
from tests.fakes.engine import FakeEngine
from tests.support.ports import free_port

REF = order("").ref
INSIDE_200 = b"\nHTTP/ 200\n= curl 0\n"
INSIDE_REFUSED = b"\nHTTP/ 000\n= curl 7\n"
NO_TOOL = b"= none 0\n"


class Engine(FakeEngine):
    """Its container says this to every command, and publishes these ports."""

    def __init__(self) -> None:
        super().__init__()
        self.add(REF.name, LABELS)
        self.says = INSIDE_200
        self.asked: list[Sequence[str]] = []
        self.ports: dict[str, list[dict[str, str]]] = {}

    async def exec(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ExecResult:
        self.asked.append(argv)
        return ExecResult(0, self.says)

    async def inspect(self, name: str) -> Container:
        described = [{"NetworkSettings": {"Ports": self.ports}}]
        return Container(name, "1", Phase.RUNNING, inspect=json.dumps(described).encode())


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def prober(engine: Engine) -> AsyncIterator[Prober]:
    made = Prober(engine, "127.0.0.1", 8)
    yield made
    await made.close()


def route(target: Target, prober: Prober, *addresses: str) -> Route:
    return Route(REF, target, addresses, prober, 5)


async def test_an_address_that_answers_is_all_there_is(engine: Engine, prober: Prober) -> None:
    async with serving() as port:
        way = route(Http(port, "/status/503"), prober, "127.0.0.1")
        assert await way.probe() == ProbeResult(ProbeStatus.ANSWERED, 503)
    assert engine.asked == []


async def test_without_an_own_address_the_hosts_counts(engine: Engine, prober: Prober) -> None:
    async with serving() as port:
        assert (await route(Http(port, "/status/204"), prober).probe()).value == 204
    assert engine.asked == []


async def test_the_host_may_have_a_name(engine: Engine) -> None:
    prober = Prober(engine, "localhost", 8)
    async with serving() as port:
        assert (await route(Http(port, "/status/204"), prober).probe()).value == 204
    await prober.close()


async def test_a_server_on_loopback_only_is_found_inside(
    engine: Engine, prober: Prober, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    way = route(Http(free_port(), "/x"), prober, "127.0.0.1")
    assert not way.inside
    for _ in range(3):
        assert await way.probe() == ProbeResult(ProbeStatus.ANSWERED, 200)
    assert way.inside
    assert len(engine.asked) == 3
    (told,) = [text for text in caplog.messages if "a probe inside the container" in text]
    assert "Connect call failed" in told or "refused" in told.lower()


async def test_a_server_that_is_down_is_asked_at_its_address_again(
    engine: Engine, prober: Prober
) -> None:
    engine.says = INSIDE_REFUSED
    way = route(Http(free_port()), prober, "127.0.0.1")
    assert (await way.probe()).sign is ProbeStatus.REFUSED
    assert not way.inside


async def test_out_of_reach_is_left_for_inside_whatever_is_said_there(
    engine: Engine, prober: Prober
) -> None:
    engine.says = INSIDE_REFUSED
    way = route(Http(80, ipv6=True), prober, "127.0.0.1")  # no address of that family
    assert (await way.probe()).sign is ProbeStatus.REFUSED
    assert way.inside


async def test_without_tools_the_published_port_is_asked(engine: Engine, prober: Prober) -> None:
    engine.says = NO_TOOL
    async with serving() as port:
        engine.ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(port)}]}
        way = route(Http(80, "/status/200", ipv6=True), prober)
        for _ in range(2):
            assert await way.probe() == ProbeResult(ProbeStatus.ANSWERED, 200)
    assert len(engine.asked) == 1


async def test_where_nothing_helps_it_failed_and_the_log_says_why_once(
    engine: Engine, prober: Prober, caplog: pytest.LogCaptureFixture
) -> None:
    engine.says = NO_TOOL
    way = route(Tcp(80, ipv6=True), prober)
    for _ in range(3):
        assert (await way.probe()).sign is ProbeStatus.UNREACHABLE
    assert len(engine.asked) == 1
    assert len([text for text in caplog.messages if "cannot be made" in text]) == 1


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ({"80/tcp": [{"HostIp": "", "HostPort": "31000"}]}, 31000),
        ({"80/udp": [{"HostIp": "", "HostPort": "31000"}]}, 0),
        ({"80/tcp": None}, 0),
        ({"80/tcp": [{"HostPort": ""}]}, 0),
        ({}, 0),
    ],
)
def test_the_published_port(ports: object, found: int) -> None:
    inspect = json.dumps([{"NetworkSettings": {"Ports": ports}}]).encode()
    assert published(inspect, 80) == found
    assert published(b"", 80) == 0
