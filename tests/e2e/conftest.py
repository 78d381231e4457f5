"""A whole system: a master, an agent on the real engine, an ordinary framework.

Every test runs on the embedded master, and on a real one as well where MESOS_MASTER_BIN names it.
``shared`` is a system whose master and agent outlive the test: for tests that give the agent no
flags and leave it alone. ``system`` is a test's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import docker
import pytest

from tests.conftest import TEST_SHIMS
from tests.dev.master.conftest import BOTH, REAL, Embedded, RealMaster
from tests.e2e.agents import AgentProcess, agents_of
from tests.e2e.client import Framework
from tests.support.wait import PATIENCE, until
from tests.triton.simulator import TritonSimulator, run_simulator

T = TypeVar("T")

LABEL_SHIM = "mesos-shim.id"
LABEL_TASK = "org.apache.mesos.task_id"


@dataclass
class System:
    """Master address, and what was started in front of it."""

    master: str
    """The address that agents are given."""
    directory: Path
    shim_id: str
    image: str
    engine: docker.DockerClient
    agents: list[AgentProcess] = field(default_factory=list)
    direct: str = ""
    """The master's own address, where ``master`` leads through a gate."""

    async def agent(self, *flags: str, registered: bool = True, **env: str) -> AgentProcess:
        """A running agent with a work_dir of its own; by default once it is registered.

        ``--ip`` among the flags replaces its loopback address.
        """
        number = len(self.agents)
        shim_id = f"{self.shim_id}-{number}" if number else self.shim_id
        agent = AgentProcess(self.master, self.directory / f"agent{number}", shim_id, *flags, **env)
        self.agents.append(agent)
        await agent.start()
        if registered:
            await agent.logged("registered with")
        return agent

    def framework(self, **info: Any) -> Framework:
        return Framework(self.direct or self.master, **info)

    def listed(self) -> list[Any]:
        """Its containers, running or not, as the engine's list describes them."""
        found = self.engine.api.containers(all=True, filters={"label": LABEL_SHIM})
        return [c for c in found if c["Labels"][LABEL_SHIM].startswith(self.shim_id)]

    def containers(self) -> list[Any]:
        """Its containers, running or not, each inspected."""
        found = []
        for each in self.listed():
            with contextlib.suppress(docker.errors.NotFound):
                found.append(self.engine.containers.get(each["Id"]))
        return found

    def container_of(self, task_id: str) -> Any:
        """The one container of a task."""
        (found,) = [c["Id"] for c in self.listed() if c["Labels"].get(LABEL_TASK) == task_id]
        return self.engine.containers.get(found)

    async def no_containers(self) -> None:
        """Wait for the end of all: a stopped container costs money as well."""

        async def none() -> bool:
            return not await asyncio.to_thread(self.listed)

        def left() -> str:
            names = [container["Names"] for container in self.listed()]
            logs = "\n".join(agent.log[-3000:] for agent in self.agents)
            return f"the end of all containers; left: {names}\n{logs}"

        await until(none, left)

    async def no_volumes(self) -> None:
        """Wait for the end of all volumes of executors."""

        async def none() -> bool:
            found = await asyncio.to_thread(self.engine.volumes.list, filters={"label": LABEL_SHIM})
            labels = [volume.attrs.get("Labels") or {} for volume in found]
            return not any(each.get(LABEL_SHIM) == self.shim_id for each in labels)

        await until(none, "the end of all volumes")

    async def agent_id(self) -> str:
        (agent,) = await agents_of(self.direct or self.master)
        return str(agent["id"])

    def remove_containers(self) -> None:
        for container in self.containers():
            container.remove(force=True, v=True)

    def assert_sound(self) -> None:
        """No agent logged an exception that nothing expected, or a message that kills masters."""
        for agent in self.agents:
            assert "Traceback" not in agent.log, agent.log[-5000:]
            assert "could abort the master" not in agent.log, agent.log[-5000:]


@contextlib.asynccontextmanager
async def taken_down(found: System) -> AsyncIterator[System]:
    """At the end no container may be left, and no agent may have failed."""
    try:
        yield found
        await found.no_containers()
    finally:
        for agent in found.agents:
            await agent.kill()
        found.remove_containers()
    found.assert_sound()


@pytest.fixture
async def triton(tmp_path: Path) -> AsyncIterator[TritonSimulator]:
    """A Triton, with an account of one certificate."""
    directory = tmp_path / "triton"
    directory.mkdir()
    async with run_simulator(directory, must_end_empty=True) as made:
        yield made


@pytest.fixture
def pings() -> int:
    """Pings, one a second, that an agent may miss before it is unreachable.

    So many that a busy machine makes no agent unreachable; a test of unreachability says less.
    """
    return 100


@pytest.fixture(params=BOTH)
async def master(request: pytest.FixtureRequest, tmp_path: Path, pings: int) -> AsyncIterator[str]:
    """``host:port`` of a fresh master."""
    async with new_master(request.param, tmp_path, pings) as made:
        yield made.address


def new_master(kind: str, directory: Path, pings: int) -> Embedded | RealMaster:
    if kind == "embedded":
        return Embedded(port=0, ping_timeout=1.0, max_ping_timeouts=pings)
    assert REAL
    flags = ("--registry=in_memory", f"--max_agent_ping_timeouts={pings}")
    return RealMaster(REAL, directory, *flags)


@pytest.fixture
async def system(
    master: str,
    tmp_path: Path,
    shim_id: str,
    busybox_image: str,
    docker_client: docker.DockerClient,
) -> AsyncIterator[System]:
    """A master, and whatever agents the test starts."""
    made = System(master, tmp_path, shim_id, busybox_image, docker_client)
    async with taken_down(made) as found:
        yield found


# --- one master and one agent for many tests ----------------------------------------------------


class Background:
    """An event loop in a thread of its own: for a master and an agent that outlive a test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * PATIENCE)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class SharedSystem(System):
    """A master with one agent of no flags."""

    async def agent(self, *flags: str, registered: bool = True, **env: str) -> AgentProcess:
        assert not flags and not env and registered, "a shared agent takes no flags"  # noqa: PT018
        return self.agents[0]


class Shared:
    """Makes the shared system, and a new one after a test that failed on it."""

    def __init__(self, kind: str, directory: Path, image: str, engine: docker.DockerClient) -> None:
        self._kind = kind
        self._directory = directory
        self._image = image
        self._engine = engine
        self._background = Background()
        self._made = 0
        self._master: Embedded | RealMaster | None = None
        self.system: SharedSystem | None = None

    def get(self) -> SharedSystem:
        """The system; its agent's log begins anew."""
        if self.system is None:
            self.system = self._background.run(self._start())
        (agent,) = self.system.agents
        agent.forget_log()
        return self.system

    async def _start(self) -> SharedSystem:
        self._made += 1
        directory = self._directory / str(self._made)
        directory.mkdir()
        self._master = new_master(self._kind, directory, 100)
        await self._master.__aenter__()
        shim_id = f"{TEST_SHIMS}shared-{self._made}"
        address = self._master.address
        made = SharedSystem(address, directory, shim_id, self._image, self._engine)
        agent = AgentProcess(address, directory / "agent0", shim_id)
        made.agents.append(agent)
        await agent.start()
        await agent.logged("registered with")
        return made

    def end(self) -> None:
        """The next test gets another system."""
        if self.system is not None:
            self._background.run(self.system.agents[0].kill())
            self.system.remove_containers()
            self.system = None
        if self._master is not None:
            self._background.run(self._master.__aexit__(None, None, None))
            self._master = None

    def close(self) -> None:
        self.end()
        self._background.close()


@pytest.fixture(scope="session", params=BOTH)
def shared_systems(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    busybox_image: str,
    docker_client: docker.DockerClient,
) -> Iterator[Shared]:
    directory = tmp_path_factory.mktemp("shared")
    made = Shared(request.param, directory, busybox_image, docker_client)
    yield made
    made.close()


@pytest.fixture
async def shared(shared_systems: Shared) -> AsyncIterator[System]:
    """A system whose agent has no flags and serves other tests before and after this one."""
    found = await asyncio.to_thread(shared_systems.get)
    try:
        yield found
        await found.no_containers()
        found.assert_sound()
    except BaseException:
        await asyncio.to_thread(shared_systems.end)
        raise
