"""Checks of real containers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from shim.engine.api import ContainerSpec
from shim.engine.checks.checker import Checker
from shim.engine.checks.exec_probe import script
from shim.engine.checks.spec import HttpCheck
from shim.engine.client.endpoint import resolve
from shim.engine.docker import DockerEngine
from shim.engine.images.image_reference import parse_image
from shim.model.container import LABEL_SHIM
from shim.model.facts import CheckReported, Fact, HealthReported
from shim.protos.mesos_pb2 import CheckStatusInfo
from tests.engine.checks.orders import order_for
from tests.support.wait import PATIENCE, until

pytestmark = pytest.mark.needs_docker

QUICK = "delay_seconds: 0 interval_seconds: 0.2 timeout_seconds: 90 grace_period_seconds: 0"

PATIENT = f"{QUICK} consecutive_failures: 1000"
"""For servers, which may start more slowly than three checks fail."""


@dataclass
class World:
    engine: DockerEngine
    checker: Checker
    facts: list[Fact]
    shim_id: str
    image: str
    made: list[str]

    async def run(self, script: str, *, network: str = "bridge") -> tuple[str, tuple[str, ...]]:
        """A container that runs the script: its name and its addresses."""
        name = f"mesos-{uuid.uuid4()}"
        body = {
            "Image": self.image,
            "Cmd": ["sh", "-c", script],
            "Labels": {LABEL_SHIM: self.shim_id},
            "HostConfig": {"NetworkMode": network},
        }
        self.made.append(name)
        await self.engine.create(ContainerSpec(name, parse_image(self.image), body))
        await self.engine.start(name)
        return name, (await self.engine.inspect(name)).addresses

    @property
    def health(self) -> list[tuple[bool, bool]]:
        return [(f.healthy, f.kill) for f in self.facts if isinstance(f, HealthReported)]


@pytest.fixture
async def world(shim_id: str, busybox_image: str) -> AsyncIterator[World]:
    engine, facts = DockerEngine(resolve(), shim_id=shim_id), list[Fact]()
    checker = Checker(engine, facts.append)
    running = asyncio.create_task(checker.run())
    made = World(engine, checker, facts, shim_id, busybox_image, [])
    yield made
    running.cancel()
    await checker.close()
    for name in made.made:
        await engine.remove(name)
    await engine.close()


async def test_a_command_check_runs_with_its_environment(world: World) -> None:
    name, addresses = await world.run("sleep 100")
    wanted = order_for(
        name,
        f"""health_check {{ {QUICK} type: COMMAND command {{ value: "test \\"$WORD\\" = good"
            environment {{ variables {{ name: "WORD" value: "good" }} }} }} }}""",
        *addresses,
    )
    world.checker.start(wanted)
    await until(lambda: world.health == [(True, False)])


async def test_a_command_that_keeps_failing_kills_the_task(world: World) -> None:
    name, addresses = await world.run("sleep 100")
    text = f'health_check {{ {QUICK} type: COMMAND command {{ shell: false value: "/no/such" }} }}'
    world.checker.start(order_for(name, text, *addresses))
    await until(lambda: len(world.health) >= 3)
    assert world.health[:3] == [(False, False), (False, False), (False, True)]


@pytest.mark.parametrize("kind", ["HTTP http", "TCP tcp"])
async def test_a_server_at_the_containers_address_is_healthy(world: World, kind: str) -> None:
    name, addresses = await world.run("httpd -f -p 8080 -h /www")
    text = f"health_check {{ {PATIENT} type: {kind} {{ port: 8080 }} }}"
    world.checker.start(order_for(name, text, *addresses))
    await until(lambda: (True, False) in world.health)


@pytest.mark.parametrize("kind", ["HTTP http", "TCP tcp"])
async def test_a_server_on_loopback_only_is_healthy(
    world: World, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    name, addresses = await world.run("httpd -f -p 127.0.0.1:8080 -h /www")
    text = f"health_check {{ {PATIENT} type: {kind} {{ port: 8080 }} }}"
    world.checker.start(order_for(name, text, *addresses))
    await until(lambda: (True, False) in world.health)
    assert "a probe inside the container from now on" in caplog.text
    if kind == "HTTP http":
        within_a_second = script(HttpCheck(8080), 1.0)
        found = await world.engine.exec(name, within_a_second, {}, PATIENCE)
        assert found.output.endswith(b"= wget 0\n"), "nc takes a whole second"


async def test_a_container_without_a_network_is_probed_inside(world: World) -> None:
    name, addresses = await world.run("httpd -f -p 127.0.0.1:8080 -h /www", network="none")
    assert addresses == ()
    text = f'health_check {{ {QUICK} type: HTTP http {{ port: 8080 path: "/nothing" }} }}'
    world.checker.start(order_for(name, text))
    await until(lambda: (False, True) in world.health)


async def test_a_check_reports_a_page_that_disappears_and_returns(world: World) -> None:
    name, addresses = await world.run("httpd -f -p 8080 -h /www")
    text = """check { delay_seconds: 0 interval_seconds: 0.2
        type: HTTP http { port: 8080 path: "/index.html" } }"""
    world.checker.start(order_for(name, text, *addresses))

    def codes() -> list[int]:
        reports = [f for f in world.facts if isinstance(f, CheckReported)]
        return [CheckStatusInfo.FromString(f.status).http.status_code for f in reports]

    await until(lambda: codes()[-1:] == [200])
    await world.engine.exec(name, ["mv", "/www/index.html", "/www/away"], {}, PATIENCE)
    await until(lambda: codes()[-1:] == [404])
    await world.engine.exec(name, ["mv", "/www/away", "/www/index.html"], {}, PATIENCE)
    await until(lambda: codes()[-1:] == [200])


async def test_the_end_of_a_container_is_no_failure(world: World) -> None:
    name, addresses = await world.run("until [ -e /tmp/end ]; do sleep 0.1; done")
    text = f'health_check {{ {QUICK} type: COMMAND command {{ value: "true" }} }}'
    world.checker.start(order_for(name, text, *addresses))
    await until(lambda: len(world.health) == 1)
    await world.engine.exec(name, ["touch", "/tmp/end"], {}, PATIENCE)
    await until(lambda: world.checker.results["unknown"] > 3)
    assert world.health == [(True, False)]
