"""The agent's figures of machine-seconds and costs, against the simulator's own bill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from shim.model.container import LABEL_CONTAINER, LABEL_SHIM
from shim.protos.mesos_pb2 import TaskState
from tests.bench.kit import run_task
from tests.e2e.agents import AgentProcess
from tests.e2e.datacenter import Master, page, shim
from tests.support.wait import PATIENCE, until
from tests.triton.simulator import TritonSimulator, client

IMAGE, PACKAGE = "busybox:latest", "sample-128M"
RUNNING, KILLED = TaskState.TASK_RUNNING, TaskState.TASK_KILLED
FINISHED = TaskState.TASK_FINISHED
TOLERANCE = 1.0
"""Seconds per machine, between its removal and the answer, on a busy machine as well."""


async def money(agent: AgentProcess) -> Any:
    return json.loads(await page(agent, "state"))["triton"]


def shows(agent: AgentProcess, *lines: str) -> Callable[[], Awaitable[bool]]:
    async def shown() -> bool:
        text = await page(agent, "metrics")
        return all(line in text for line in lines)

    return shown


def launch_ending(master: Master, name: str, seconds: float) -> None:
    """One that ends by itself."""
    message = run_task(master.agent_id, name, IMAGE, "true")
    message.task.command.environment.variables.add(name="SIM_EXIT_AFTER", value=str(seconds))
    master.tell(message)


async def restart(master: Master, agent: AgentProcess) -> None:
    await agent.kill()
    master.registered.clear()
    await agent.start()
    await asyncio.wait_for(master.registered.wait(), PATIENCE)


async def test_machine_seconds_add_up_to_the_datacenter_s_bill(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    """Tasks that live between two lists, that are long in no state at all, and an ordinary one."""
    triton.options.provision_seconds, triton.options.stopping_seconds = 2.0, 4.0
    short, odd = [f"short-{number}" for number in range(6)], ["odd-1", "odd-2"]
    async with shim(triton, tmp_path) as (master, agent):
        for name in (*short, "long"):
            master.launch(name, IMAGE)
        for name in odd:
            launch_ending(master, name, 1.0)
        for name in short:
            await master.until(master.reached([name], RUNNING))
            master.kill(name)
        await master.until(master.reached(odd, FINISHED))
        await master.until(master.reached(short, KILLED))
        await until(lambda: len(triton.remaining) == 1, "only the long one left")
        await asyncio.sleep(0.5)
        found, billed = await money(agent), triton.datacenter.bill()[PACKAGE]
        assert {account["task_id"] for account in found["tasks"]} == {*short, *odd, "long"}
        machines = len(triton.datacenter.machines)
        tolerance = machines * TOLERANCE
        assert machines == 9
        assert found["packages"][PACKAGE]["machine_seconds"] == pytest.approx(billed, abs=tolerance)
        accounts = sum(account["machine_seconds"] for account in found["tasks"])
        assert accounts == pytest.approx(billed, abs=tolerance)
        master.kill("long")
        await until(lambda: triton.remaining == [], "nothing left")


async def test_a_restart_counts_nothing_twice_and_shows_each_package(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({PACKAGE: 36}))
    async with shim(triton, tmp_path, "one", f"--triton_prices={prices}") as (master, agent):
        master.launch("a", IMAGE)
        await master.until(master.reached(["a"], RUNNING))
        triton.datacenter.machines[0].created -= 864_000
        await restart(master, agent)
        await until(shows(agent, f'triton_machines{{package="{PACKAGE}"}} 1.0'), "a list")

        async def known() -> bool:
            (framework,) = json.loads(await page(agent, "state"))["frameworks"]
            (task,) = framework["executors"][0]["tasks"]
            return bool(task.get("triton") == {"package": PACKAGE, "mem": 128})

        await until(known, "the package's memory")
        found = await money(agent)
        (account,) = found["tasks"]
        assert account["machine_seconds"] > 864_000
        seconds = found["packages"][PACKAGE]["machine_seconds"]
        assert 0 < seconds < 10 * PATIENCE
        assert found["frameworks"]["bench-0000"] == pytest.approx(seconds / 100)
        assert found["packages"][PACKAGE]["mem"] == 128
        master.kill("a")
        await until(lambda: triton.remaining == [], "nothing left")


async def test_an_alarm_for_a_container_without_task_and_no_other(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    """Neither for a task that runs, nor for one whose container is kept for a while after it."""
    flags = ["--docker_remove_delay=3secs"]
    async with (
        shim(triton, tmp_path, "one", *flags, program="tests.e2e.impatient") as (master, agent),
        client(triton) as docker,
    ):
        master.launch("a", IMAGE)
        launch_ending(master, "b", 0.1)
        await master.until(master.reached(["a"], RUNNING))
        await master.until(master.reached(["b"], FINISHED))
        await docker.run("mesos-stray", Labels={LABEL_SHIM: "one", LABEL_CONTAINER: "stray"})
        await until(shows(agent, "triton_containers_without_task 1.0"), "the alarm")
        assert (await money(agent))["containers_without_task"] == ["mesos-stray"]
        assert agent.log.count("belongs to no task and is still charged") == 1
        assert "mesos-stray belongs to no task and is still charged" in agent.log
        assert "mesos-stray" in triton.remaining
        await restart(master, agent)
        await until(lambda: "mesos-stray" not in triton.remaining, "the removal at the next start")
        master.kill("a")
        await until(lambda: triton.remaining == [], "nothing left")
