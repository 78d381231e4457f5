"""The whole agent while Triton denies access: what users see, and what happens afterwards."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path

import aiohttp
import pytest

from shim.protos.mesos_pb2 import TaskState
from tests.e2e.agents import AgentProcess
from tests.e2e.datacenter import Master, page, shim
from tests.support.wait import PATIENCE, until
from tests.triton.simulator import TritonSimulator

IMAGE = "busybox:latest"
RUNNING, KILLED = TaskState.TASK_RUNNING, TaskState.TASK_KILLED
ANNOUNCED = 15.0
"""Seconds of a maintenance: longer than a launch may take without one, even if that is long."""


async def stage(agent: AgentProcess, task: str) -> str:
    """The ``stage`` that /state shows of a task that does not run yet."""
    state = json.loads(await page(agent, "state"))
    for executor in (found for each in state["frameworks"] for found in each["executors"]):
        for shown in (*executor["queued_tasks"], *executor["tasks"]):
            if shown["id"] == task:
                return str(shown.get("stage", ""))
    return ""


async def test_a_launch_outlasts_a_maintenance_that_was_announced(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    triton.options.maintenance = "Back soon"
    async with shim(triton, tmp_path, "one", "--executor_registration_timeout=10secs") as (
        master,
        agent,
    ):
        triton.options.maintenance_until = end = time.time() + ANNOUNCED
        master.launch("a", IMAGE)
        master.launch("b", IMAGE)

        async def shown() -> bool:
            text = await stage(agent, "a")
            return bool(re.search(r"Back soon \(Triton request .*\), until \d\d:\d\d UTC", text))

        await until(shown, "why it waits")
        assert agent.log.count("makes no progress: Back soon") == 1
        master.kill("b")
        await master.until(master.reached(["b"], KILLED))
        assert time.time() < end, "a kill does not wait for the end of the maintenance"
        await asyncio.sleep(max(0.0, end - time.time()))
        triton.options.maintenance = ""
        await master.until(master.reached(["a"], RUNNING))
        assert triton.remaining == [triton.datacenter.machines[0].name]
        master.kill("a")
        await until(lambda: triton.remaining == [], "nothing left")


async def test_a_revoked_key_is_named_in_state_and_log(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    async with shim(triton, tmp_path) as (master, agent):
        triton.account.keys.clear()
        master.launch("a", IMAGE)

        async def shown() -> bool:
            return "Triton does not accept the certificate" in await stage(agent, "a")

        await until(shown, "why it waits")
        assert agent.log.count("makes no progress: Triton does not accept") == 1
        triton.account.keys.append(triton.key.public_key())
        await master.until(master.reached(["a"], RUNNING))
        master.kill("a")
        await until(lambda: triton.remaining == [], "nothing left")


async def test_an_agent_that_is_refused_from_the_start_says_so_and_waits(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    triton.account.keys.clear()
    async with Master() as master:
        flags = [
            f"--docker_host={triton.endpoint.docker_host}",
            f"--docker_cert_path={triton.certs}",
        ]
        agent = AgentProcess(master.address, tmp_path / "one", "one", *flags)
        await agent.start()
        try:

            async def shown() -> bool:
                try:
                    metrics = await page(agent, "metrics")
                except aiohttp.ClientError:
                    return False
                figure = re.search(r"triton_certificate_days_left (\d\S*)", metrics)
                return figure is not None and float(figure[1]) == pytest.approx(3650, abs=0.1)

            await until(shown, "days of the certificate")
            refused = "does not answer: Triton does not accept the certificate"
            await until(lambda: refused in agent.log, "the refusal in the log")
            triton.account.keys.append(triton.key.public_key())
            await asyncio.wait_for(master.registered.wait(), PATIENCE)
        finally:
            await agent.end()
