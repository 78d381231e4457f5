"""What may happen to the agent itself: its disk, its directory, its double, a flood."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from shim.protos.mesos_pb2 import TaskState
from tests.bench.kit import ThinMaster, rss_kb
from tests.e2e.agents import AgentProcess, ExecutedAgent
from tests.e2e.conftest import LABEL_SHIM, System
from tests.e2e.faults.proxy import DockerProxy
from tests.e2e.faults.test_masters import a_task, kill, run, started
from tests.support.wait import PATIENCE, until

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]


async def test_a_second_shim_is_refused(system: System) -> None:
    first = await system.agent()
    second = AgentProcess(system.master, system.directory / "agent0", system.shim_id)
    await second.start()
    assert await second.exit_code() == 1
    assert f"is in use by another shim (pid {first.pid})" in second.log


async def test_a_lost_work_dir(system: System) -> None:
    """A new agent, which finds what the old one left by its label, and ends it."""
    agent = await system.agent()
    before = await system.agent_id()
    async with system.framework() as framework:
        await run(system, framework, "left-behind")
        await agent.kill()
        await asyncio.to_thread(shutil.rmtree, system.directory / "agent0")
        await agent.start()
        await agent.logged("it belongs to no task")
        await system.no_containers()
        await run(system, framework, "after")
        status = framework.updates("after")[-1]
        assert status["agent_id"]["value"] != before
        await kill(framework, "after")


async def test_a_torn_tail_of_the_journal(system: System) -> None:
    """Half a write, as a crash of the machine leaves it: what was durable before it counts."""
    agent = await system.agent()
    before = await system.agent_id()
    async with system.framework() as framework:
        await run(system, framework, "goes-on")
        since = started(system, "goes-on")
        await agent.kill()
        log = system.directory / "agent0" / "journal.db-wal"
        assert log.stat().st_size
        with log.open("ab") as file:
            file.write(os.urandom(3000))
        await agent.start()
        await agent.logged("re-registered")
        assert await system.agent_id() == before
        assert started(system, "goes-on") == since
        await kill(framework, "goes-on")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "shim-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a small file system here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk(system: System, small_disk: Path) -> None:
    """Nothing is said that is not durable; with space again everything goes on."""
    agent = AgentProcess(system.master, system.directory / "agent", system.shim_id)
    (system.directory / "agent").symlink_to(small_disk)
    system.agents.append(agent)
    await agent.start()
    await agent.logged("registered with")
    async with system.framework() as framework:
        await run(system, framework, "before")
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        await framework.launch(a_task(system, "late"))
        await agent.logged("nothing is sent until the journal can be written")
        await asyncio.sleep(1)
        assert framework.states("late") == []
        assert len(system.containers()) == 1
        ballast.unlink()
        await framework.state("late", "TASK_RUNNING")
        await agent.kill()
        await agent.start()
        await kill(framework, "before", "late")


async def test_a_flood_while_the_engine_is_away(
    tmp_path: Path, shim_id: str, busybox_image: str, docker_client: docker.DockerClient
) -> None:
    """Memory stays bounded, and every task gets its update in the end."""
    count, grown_kb_each = 1500, 40
    names = [f"t{number}" for number in range(count)]
    async with DockerProxy(tmp_path / "docker.sock") as proxy, ThinMaster() as master:
        agent = ExecutedAgent(
            master.address,
            tmp_path / "agent",
            shim_id,
            "--engine=docker",
            "--executor_registration_timeout=3secs",
            DOCKER_HOST=proxy.host,
        )
        await agent.start()
        await asyncio.wait_for(master.registered.wait(), PATIENCE)
        await proxy.away()
        before = rss_kb(agent.pid)
        for name in names:
            master.launch(name, busybox_image)
        await master.until(master.reached(names, TaskState.TASK_FAILED))
        grown = (rss_kb(agent.pid) - before) / count
        assert grown < grown_kb_each, f"{grown:.0f} kB a task"
        await proxy.back()
        for number in itertools.count():
            # A busy machine may take longer to start a task than the flag above allows.
            after = f"after-{number}"
            master.launch(after, busybox_image, "exit 0")
            ends = (TaskState.TASK_FINISHED, TaskState.TASK_FAILED)
            await master.until(master.reached([after], *ends))
            if master.reached([after], TaskState.TASK_FINISHED)():
                break

        async def none_left() -> bool:
            ours = {"label": f"{LABEL_SHIM}={shim_id}"}
            return not await asyncio.to_thread(docker_client.api.containers, all=True, filters=ours)

        await until(none_left, "the end of all containers")
        assert await agent.end() == 0
        assert "Traceback" not in agent.log
