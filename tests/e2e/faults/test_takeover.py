"""Two agents on one journal in a real ZooKeeper, a real engine, and tasks that run through it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import aiohttp
import pytest
from kazoo.client import KazooClient

from tests.e2e.agents import AgentProcess, agents_of
from tests.e2e.client import Framework, Json, task
from tests.e2e.conftest import System
from tests.support.wait import until
from tests.wire.conftest import TcpProxy

pytestmark = [
    pytest.mark.needs_docker,
    pytest.mark.needs_busybox,
    pytest.mark.needs_zookeeper,
]
SESSION = 2.0


class Pair:
    """Two agents, of which one leads."""

    def __init__(self, system: System, zookeeper: int, directory: Path) -> None:
        self._command_log = directory / "failover.log"
        told = "$FAILOVER $1 $ADVERTISE_IP $ADVERTISE_PORT"
        command = f'echo "{told}" >> {self._command_log}; echo done'
        flags = (
            f"--journal=zk://user:s3cret@127.0.0.1:{zookeeper}/mesos/shim",
            f"--zk_session_timeout={SESSION:g}secs",
            f"--failover_command={command}",
            "--hostname=localhost",
        )
        self.agents = [
            AgentProcess(system.master, directory / f"machine{n}", system.shim_id, *flags)
            for n in range(2)
        ]
        system.agents += self.agents

    @property
    def commands(self) -> list[str]:
        return self._command_log.read_text().splitlines()

    async def page(self, number: int, path: str) -> tuple[int, str]:
        """Status and text of an agent's page; 0 while it does not answer."""
        url = f"http://127.0.0.1:{self.agents[number].port}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def stands_by(self, number: int) -> bool:
        status, text = await self.page(number, "/health")
        return status == 200 and text.startswith("standby: 127.0.0.1:")

    async def leads(self, number: int) -> bool:
        return (await self.page(number, "/leader"))[0] == 200


async def registered(system: System, pair: Pair, number: int) -> None:
    """Wait until the master has the agent at this one's port; it is the same agent as ever."""

    async def there() -> bool:
        port = f":{pair.agents[number].port}"
        found = await agents_of(system.direct or system.master)
        return [str(each["pid"]).endswith(port) and each["active"] for each in found] == [True]

    await until(there, lambda: pair.agents[number].log[-3000:])


async def test_a_standby_takes_over_and_the_old_leader_never_acts_again(
    system: System, zookeeper: int, zk: KazooClient, tmp_path: Path
) -> None:
    pair = Pair(system, zookeeper, tmp_path)
    first, second = pair.agents
    await first.start()
    await registered(system, pair, 0)
    agent_id = await system.agent_id()
    await second.start()
    await until(lambda: pair.stands_by(1))
    assert (await pair.page(1, "/leader"))[0] == 503
    assert "standby" in (await pair.page(1, "/state"))[1]
    async with system.framework() as framework:
        lasting = task("lasting", image=system.image)
        await framework.launch(lasting)
        await framework.state("lasting", "TASK_RUNNING")

        # --- kill -9: the session has to end first
        await first.kill()
        await registered(system, pair, 1)
        assert "took over from 127.0.0.1:" in second.log
        await run_one(framework, system, "after-kill")

        # --- SIGTERM: at once
        await first.start()
        await until(lambda: pair.stands_by(0))
        began = time.monotonic()
        second.forget_log()
        assert await second.end() == 0
        await registered(system, pair, 0)
        assert time.monotonic() - began < 20
        await run_one(framework, system, "after-term")

        # --- SIGSTOP for longer than the session, then SIGCONT
        await second.start()
        await until(lambda: pair.stands_by(1))
        first.forget_log()
        os.kill(first.pid, signal.SIGSTOP)
        await registered(system, pair, 1)
        await run_one(framework, system, "while-stopped")
        os.kill(first.pid, signal.SIGCONT)
        assert await first.exit_code() == 1
        assert "another agent leads" in first.log
        await run_one(framework, system, "after-cont")

        assert framework.states("lasting")[-1] == "TASK_RUNNING"
        await framework.kill("lasting", 0)
        await framework.end("lasting")
    assert await system.agent_id() == agent_id
    events = [line.split()[0] for line in pair.commands]
    assert events == ["acquire", "acquire", "release", "acquire", "acquire", "release"]
    assert pair.commands[0] == f"acquire acquire 127.0.0.1 {first.port}"
    zk.add_auth("digest", "user:s3cret")
    zk.delete("/mesos", recursive=True)
    assert all("s3cret" not in agent.log for agent in pair.agents)


async def test_without_zookeeper_tasks_run_on_and_the_agent_says_that_it_sends_nothing(
    system: System, proxy: TcpProxy, zk: KazooClient
) -> None:
    agent = await system.agent(
        f"--journal=zk://127.0.0.1:{proxy.port}/mesos/shim",
        f"--zk_session_timeout={SESSION:g}secs",
        "--hostname=localhost",
    )

    async def health() -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{agent.port}/health") as answer,
        ):
            return answer.status, await answer.text()

    async with system.framework() as framework:
        await framework.launch(task("lasting", image=system.image))
        await framework.state("lasting", "TASK_RUNNING")
        await proxy.shut()
        await framework.kill("lasting", 0)
        await agent.logged("until it does nothing is sent")
        status, text = await health()
        assert status == 503
        assert "the journal in ZooKeeper takes no records: nothing is sent for" in text
        assert system.container_of("lasting").status == "running"
        assert framework.states("lasting")[-1] == "TASK_RUNNING"
        await proxy.open()
        assert (await framework.end("lasting"))["state"] == "TASK_KILLED"
        assert (await health())[0] == 200
        await framework.launch(task("big", image=system.image, data="eHh4" * 300_000))
        end = await framework.end("big")
        assert end["state"] == "TASK_FAILED"
        assert "TaskInfo 'big' has 900" in end["message"]


async def run_one(framework: Framework, system: System, name: str) -> Json:
    """A task that starts once and finishes."""
    await framework.launch(task(name, "exit 0", image=system.image))
    found = await framework.end(name)
    assert found["state"] == "TASK_FINISHED", framework.updates(name)
    return found
