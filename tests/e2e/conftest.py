"""A whole system for each test: a master, an agent on the real engine, an ordinary framework.

Every test runs on the embedded master, and on a real one as well where MESOS_MASTER_BIN names it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.conftest import TEST_SHIMS
from tests.dev.master.conftest import master  # noqa: F401 - the fixture
from tests.e2e.agents import AgentProcess, agents_of, eventually
from tests.e2e.client import Framework
from tests.triton.simulator import TritonSimulator, run_simulator

LABEL_SHIM = "mesos-shim.id"
LABEL_TASK = "org.apache.mesos.task_id"


@dataclass
class System:
    """Master address, and what was started in front of it."""

    master: str
    """As agents are told it."""
    directory: Path
    shim_id: str
    image: str
    engine: docker.DockerClient
    agents: list[AgentProcess] = field(default_factory=list)
    direct: str = ""
    """The master's own address, where what agents are told leads through a gate."""

    async def agent(self, *flags: str, registered: bool = True, **env: str) -> AgentProcess:
        """A running agent with a work_dir of its own; by default once it is registered."""
        number = len(self.agents)
        shim_id = f"{self.shim_id}-{number}" if number else self.shim_id
        agent = AgentProcess(self.master, self.directory / f"agent{number}", shim_id, *flags, **env)
        self.agents.append(agent)
        await agent.start()
        if registered:
            await agent.said("registered with")
        return agent

    def framework(self, **info: Any) -> Framework:
        return Framework(self.direct or self.master, **info)

    def containers(self) -> list[Any]:
        """All containers of this system, running or not."""
        filters = {"label": LABEL_SHIM}
        found = self.engine.containers.list(all=True, filters=filters, ignore_removed=True)
        return [c for c in found if c.labels[LABEL_SHIM].startswith(self.shim_id)]

    def container_of(self, task_id: str) -> Any:
        """The one container of a task."""
        (found,) = [c for c in self.containers() if c.labels[LABEL_TASK] == task_id]
        return found

    async def no_containers(self, timeout: float = 15) -> None:
        """A stopped container costs money: none may stay."""

        async def none() -> bool:
            return not await asyncio.to_thread(self.containers)

        try:
            await eventually(none, "the end of all containers", timeout)
        except AssertionError:
            logs = "\n".join(agent.log[-3000:] for agent in self.agents)
            left = [container.name for container in self.containers()]
            raise AssertionError(f"containers are left: {left}\n{logs}") from None

    async def agent_id(self) -> str:
        (agent,) = await agents_of(self.direct or self.master)
        return str(agent["id"])


@contextlib.asynccontextmanager
async def taken_down(found: System) -> AsyncIterator[System]:
    """Nothing may be left over, and no agent may have stumbled."""
    try:
        yield found
        await found.no_containers()
    finally:
        for agent in found.agents:
            await agent.kill()
        for container in found.containers():
            container.remove(force=True, v=True)
    for agent in found.agents:
        assert "Traceback" not in agent.log, agent.log[-5000:]
        assert "could abort the master" not in agent.log, agent.log[-5000:]


def shim_id_of(request: pytest.FixtureRequest) -> str:
    """Every test's containers carry a mark of their own."""
    name = re.sub(r"[^\w.-]", "-", request.node.name)
    return f"{TEST_SHIMS}{name}"[:60]


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[TritonSimulator]:
    """A Triton, with an account of one certificate."""
    directory = tmp_path / "triton"
    directory.mkdir()
    async with run_simulator(directory, must_end_empty=True) as made:
        yield made


@pytest.fixture
async def system(
    master: str,  # noqa: F811
    tmp_path: Path,
    request: pytest.FixtureRequest,
    busybox_image: str,
    docker_client: docker.DockerClient,
) -> AsyncIterator[System]:
    made = System(master, tmp_path, shim_id_of(request), busybox_image, docker_client)
    async with taken_down(made) as found:
        yield found
