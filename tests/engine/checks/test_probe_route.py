"""Where a probe is made when the first place gives no connection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from shim.engine.api import ExecResult
from shim.engine.checks.probe_result import ProbeResult, ProbeStatus
from shim.engine.checks.probe_route import ProbeRoute, ProbeTools, published_port
from shim.engine.checks.spec import CheckTarget, HttpCheck, TcpCheck
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
    """Has one container, with a fixed answer to every command and fixed published ports."""

    def __init__(self) -> None:
        super().__init__()
        self.add(REF.name, LABELS)
        self.answer = INSIDE_200
        self.asked: list[Sequence[str]] = []
        self.ports: dict[str, list[dict[str, str]]] = {}
        self.owners: dict[str, str] = {}
        """The container whose network one shares, by its name."""

    async def exec(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ExecResult:
        self.asked.append(argv)
        return ExecResult(0, self.answer)

    async def inspect(self, name: str) -> Container:
        owner = self.owners.get(name)
        mode, ports = (f"container:{owner}", {}) if owner else ("bridge", self.ports)
        host = {"NetworkMode": mode}
        described = [{"HostConfig": host, "NetworkSettings": {"Ports": ports}}]
        return Container(name, "1", Phase.RUNNING, inspect=json.dumps(described).encode())


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def tools(engine: Engine) -> AsyncIterator[ProbeTools]:
    made = ProbeTools(engine, "127.0.0.1", 8)
    yield made
    await made.network.close()


def route(target: CheckTarget, tools: ProbeTools, *addresses: str) -> ProbeRoute:
    return ProbeRoute(REF, target, addresses, tools, 5)


async def test_an_address_that_answers_is_the_only_place_probed(
    engine: Engine, tools: ProbeTools
) -> None:
    async with serving() as port:
        made = route(HttpCheck(port, "/status/503"), tools, "127.0.0.1")
        assert await made.probe() == ProbeResult(ProbeStatus.ANSWERED, 503)
    assert engine.asked == []


async def test_a_container_without_an_address_is_probed_at_its_hosts(
    engine: Engine, tools: ProbeTools
) -> None:
    async with serving() as port:
        assert (await route(HttpCheck(port, "/status/204"), tools).probe()).value == 204
    assert engine.asked == []


async def test_the_host_may_be_a_name(engine: Engine) -> None:
    tools = ProbeTools(engine, "localhost", 8)
    async with serving() as port:
        assert (await route(HttpCheck(port, "/status/204"), tools).probe()).value == 204
    await tools.network.close()


async def test_a_server_on_loopback_only_is_found_inside_the_container(
    engine: Engine, tools: ProbeTools, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    made = route(HttpCheck(free_port(), "/x"), tools, "127.0.0.1")
    assert not made.uses_exec
    for _ in range(3):
        assert await made.probe() == ProbeResult(ProbeStatus.ANSWERED, 200)
    assert made.uses_exec
    assert len(engine.asked) == 3
    (line,) = [text for text in caplog.messages if "a probe inside the container" in text]
    assert "Connect call failed" in line or "refused" in line.lower()


async def test_a_server_that_is_down_is_probed_at_its_address_again(
    engine: Engine, tools: ProbeTools
) -> None:
    engine.answer = INSIDE_REFUSED
    made = route(HttpCheck(free_port()), tools, "127.0.0.1")
    assert (await made.probe()).status is ProbeStatus.REFUSED
    assert not made.uses_exec


async def test_an_unreachable_address_is_left_for_the_container_even_when_refused_there(
    engine: Engine, tools: ProbeTools
) -> None:
    engine.answer = INSIDE_REFUSED
    made = route(HttpCheck(80, ipv6=True), tools, "127.0.0.1")  # no address of that family
    assert (await made.probe()).status is ProbeStatus.REFUSED
    assert made.uses_exec


@pytest.mark.parametrize("owner", ["", "mesos-infra"])
async def test_the_published_port_is_probed_when_the_image_has_no_tool(
    engine: Engine, tools: ProbeTools, owner: str
) -> None:
    """That of the container itself, or of the one whose network it shares."""
    engine.answer, engine.owners = NO_TOOL, {REF.name: owner}
    async with serving() as port:
        engine.ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(port)}]}
        made = route(HttpCheck(80, "/status/200", ipv6=True), tools)
        for _ in range(2):
            assert await made.probe() == ProbeResult(ProbeStatus.ANSWERED, 200)
    assert len(engine.asked) == 1


async def test_a_check_without_any_place_fails_with_one_warning(
    engine: Engine, tools: ProbeTools, caplog: pytest.LogCaptureFixture
) -> None:
    engine.answer = NO_TOOL
    made = route(TcpCheck(80, ipv6=True), tools)
    for _ in range(3):
        assert (await made.probe()).status is ProbeStatus.UNREACHABLE
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
def test_published_port(ports: object, found: int) -> None:
    inspect = json.dumps([{"NetworkSettings": {"Ports": ports}}]).encode()
    assert published_port(inspect, 80) == found
    assert published_port(b"", 80) == 0
