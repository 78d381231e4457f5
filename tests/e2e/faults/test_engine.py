"""An engine that goes away, hangs, is slow, fails, loses answers and event streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.e2e.conftest import System
from tests.e2e.faults.load import Load
from tests.e2e.faults.proxy import DockerProxy
from tests.support.wait import until

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]

Fault = Callable[[System, DockerProxy, Load], Awaitable[None]]
LOSABLE = ("create", "start", "stop", "remove", "inspect", "list")


async def away(system: System, proxy: DockerProxy, load: Load) -> None:
    await proxy.away()
    await asyncio.sleep(1.5)
    await proxy.back()


async def away_at_a_restart(system: System, proxy: DockerProxy, load: Load) -> None:
    (agent,) = system.agents
    await proxy.away()
    await agent.kill()
    await agent.start()
    await asyncio.sleep(1)
    await proxy.back()


async def hanging(system: System, proxy: DockerProxy, load: Load) -> None:
    proxy.mode = "hanging"
    await asyncio.sleep(1.5)
    proxy.mode = "open"


async def slow(system: System, proxy: DockerProxy, load: Load) -> None:
    proxy.mode = "slow"
    await load.turnover(2)
    proxy.mode = "open"


async def failing(system: System, proxy: DockerProxy, load: Load) -> None:
    """A 500 may be about a task or about the engine: it is asked again before one fails."""
    proxy.mode = "failing"
    await asyncio.sleep(0.1)
    proxy.mode = "open"


async def lost_answers(system: System, proxy: DockerProxy, load: Load) -> None:
    """The engine did what it was told, and nobody heard."""
    proxy.lose.update(dict.fromkeys(LOSABLE, 2))

    async def lost() -> bool:
        return not +proxy.lose

    await until(lost, lambda: f"calls to lose answers of: {+proxy.lose}")


async def broken_event_streams(system: System, proxy: DockerProxy, load: Load) -> None:
    for _ in range(5):
        proxy.break_streams()
        await asyncio.sleep(0.2)


FAULTS: tuple[Fault, ...] = (
    away,
    away_at_a_restart,
    hanging,
    slow,
    failing,
    lost_answers,
    broken_event_streams,
)


async def test_every_fault_of_an_engine(system: System) -> None:
    async with DockerProxy(system.directory / "docker.sock") as proxy:
        await system.agent("--engine=docker", DOCKER_HOST=proxy.host)
        async with (
            system.framework() as framework,
            Load(framework, system.image, system.directory / "evidence") as load,
        ):
            for fault in FAULTS:
                await load.turnover(2)
                await fault(system, proxy, load)
            await load.turnover(2)
            await load.drain()
            await system.no_containers()
            assert not load.complaints()
