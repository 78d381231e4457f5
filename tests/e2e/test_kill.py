"""How tasks are ended: grace periods, second kills, time limits, signals, exit codes."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.client import Framework, Json
from tests.e2e.conftest import System
from tests.e2e.tasks import STUBBORN, docker_task, ends, running
from tests.support.wait import PATIENCE

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]


def seconds(value: float) -> Json:
    return {"nanoseconds": int(value * 1e9)}


def stubborn(system: System, task_id: str, grace: float | None) -> Json:
    """It ends only when its grace is over; None: it says nothing of one."""
    info = docker_task(system, task_id, STUBBORN)
    del info["kill_policy"]
    if grace is not None:
        info["kill_policy"] = {"grace_period": seconds(grace)}
    return info


async def killed_after(framework: Framework, task_id: str, grace: float | None = None) -> float:
    """Seconds from the kill to the end, which is a TASK_KILLED after a TASK_KILLING."""
    began = asyncio.get_running_loop().time()
    await framework.kill(task_id, grace)
    await framework.end(task_id)
    took = asyncio.get_running_loop().time() - began
    assert framework.states(task_id)[-2:] == ["TASK_KILLING", "TASK_KILLED"]
    return took


async def test_whose_grace_period_counts(system: System) -> None:
    """The kill's own, then the task's, then the larger of the agent's two."""
    await system.agent("--executor_shutdown_grace_period=1secs", "--docker_stop_timeout=20secs")
    async with system.framework() as framework:
        graces = {"flag": None, "task": 10.0, "call": 60.0, "call-only": None}
        await running(system, framework, *(stubborn(system, n, g) for n, g in graces.items()))
        flag, task, call, call_only = await asyncio.gather(
            killed_after(framework, "flag"),
            killed_after(framework, "task"),
            killed_after(framework, "call", grace=0),
            killed_after(framework, "call-only", grace=0),
        )
    assert flag > 19.9
    assert 9.9 < task < flag
    assert call < task
    assert call_only < task


async def test_a_second_kill_shortens_the_first(shared: System) -> None:
    await shared.agent()
    async with shared.framework() as framework:
        await running(shared, framework, stubborn(shared, "slow", 2 * PATIENCE))
        await framework.kill("slow")
        await framework.state("slow", "TASK_KILLING")
        await asyncio.sleep(0.5)
        await framework.kill("slow", grace=1)
        ended = await framework.end("slow", timeout=PATIENCE)
        assert framework.states("slow").count("TASK_KILLING") == 1
    assert (ended["state"], ended["message"]) == (
        "TASK_KILLED",
        "Container exited with status 137",
    )


async def test_max_completion_time(shared: System) -> None:
    await shared.agent()
    tasks = {name: stubborn(shared, name, 60) for name in ("late", "killed", "in-time")}
    tasks["in-time"]["command"]["value"] = "sleep 0.1"
    for name, info in tasks.items():
        info["max_completion_time"] = seconds(15 if name == "late" else PATIENCE)
    async with shared.framework() as framework:
        await framework.launch(*tasks.values())
        await framework.state("killed", "TASK_RUNNING")
        await framework.kill("killed", grace=0)
        late = await framework.end("late")
        assert (await framework.end("in-time"))["state"] == "TASK_FINISHED"
        assert (await framework.end("killed"))["state"] == "TASK_KILLED"
        assert framework.states("late") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
    assert late["reason"] == "REASON_MAX_COMPLETION_TIME_REACHED"
    assert late["message"] == "Container exited with status 137"


async def test_the_signal_and_an_exit_of_ones_own(shared: System) -> None:
    def trapping(task_id: str, signal: str, code: int) -> Json:
        trap = f"trap 'exit {code}' {signal}; sleep 1000 & wait"
        info = docker_task(shared, task_id, trap, parameters={"stop-signal": f"SIG{signal}"})
        return {**info, "kill_policy": {"grace_period": seconds(2 * PATIENCE)}}

    await shared.agent()
    async with shared.framework() as framework:
        await running(shared, framework, trapping("nine", "USR1", 9), trapping("gently", "QUIT", 0))
        for name, code in (("nine", 9), ("gently", 0)):
            assert await killed_after(framework, name) < PATIENCE
            ended = await framework.end(name)
            assert ended["message"] == f"Container exited with status {code}"
            assert "reason" not in ended
            assert ended["source"] == "SOURCE_EXECUTOR"


async def test_exit_codes(shared: System) -> None:
    codes = (0, 1, 3, 125, 126, 127, 137, 143, 255)
    tasks = [docker_task(shared, str(code), f"exit {code}") for code in codes]
    await shared.agent()
    async with shared.framework() as framework:
        await ends(framework, *tasks)
        for code in codes:
            ended = await framework.end(str(code))
            assert ended["state"] == ("TASK_FAILED" if code else "TASK_FINISHED")
            assert ended["message"] == f"Container exited with status {code}"
            assert "reason" not in ended
            assert ended["source"] == "SOURCE_EXECUTOR"


async def test_a_program_that_is_not_there(shared: System) -> None:
    await shared.agent()
    async with shared.framework() as framework:
        info = docker_task(shared, "none", {"shell": False, "value": "/no/such"})
        found = await ends(framework, info)
        assert framework.states("none") in (["TASK_FAILED"], ["TASK_STARTING", "TASK_FAILED"])
        assert (await framework.end("none"))["reason"] == "REASON_CONTAINER_LAUNCH_FAILED"
    assert "/no/such" in found["none"]
    assert "no such file" in found["none"]
