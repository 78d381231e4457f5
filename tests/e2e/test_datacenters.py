"""One master, an agent per datacenter, and a framework that chooses between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.agents import AgentProcess
from tests.e2e.client import Framework, task
from tests.support.wait import until
from tests.triton.options import Options
from tests.triton.simulator import TritonSimulator, run_simulator

NAMES = ("us-east-1", "eu-ams-1")


@pytest.fixture
async def places(master: str, tmp_path: Path) -> AsyncIterator[dict[str, TritonSimulator]]:
    """The datacenters by name, each with an agent that is registered."""
    async with AsyncExitStack() as stack:
        made, agents = {}, []
        for name in NAMES:
            directory = tmp_path / name / "triton"
            directory.mkdir(parents=True)
            triton = made[name] = await stack.enter_async_context(
                run_simulator(directory, Options(datacenter=name))
            )
            flags = [
                f"--docker_host={triton.endpoint.docker_host}",
                f"--docker_cert_path={triton.certs}",
            ]
            agents.append(AgentProcess(master, tmp_path / name / "work", name, *flags))
        for agent in agents:
            await agent.start()
            stack.push_async_callback(agent.end)
        for agent in agents:
            await agent.logged("registered with")
        yield made


async def test_a_task_goes_where_its_constraint_wants_it(
    places: dict[str, TritonSimulator], master: str
) -> None:
    """By the attribute ``datacenter``, which each agent has from its endpoint."""
    wanted = {"a": "eu-ams-1", "b": "us-east-1", "c": "eu-ams-1", "d": "eu-ams-1"}
    async with Framework(master) as framework:
        for name, datacenter in wanted.items():
            await framework.launch(task(name, image="busybox:latest"), datacenter=datacenter)
        for name in wanted:
            await framework.state(name, "TASK_RUNNING")
        for datacenter, triton in places.items():
            machines = triton.datacenter.machines
            found = {machine.labels["org.apache.mesos.task_id"] for machine in machines}
            assert found == {name for name, where in wanted.items() if where == datacenter}
        for name in wanted:
            await framework.kill(name, grace=0)
            await framework.end(name)
        await framework.stop()
    await until(lambda: not any(triton.remaining for triton in places.values()), "nothing left")
