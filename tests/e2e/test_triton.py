"""The whole agent against the Triton simulator; each test must leave no billed container."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

from shim.protos.mesos_pb2 import TaskState
from tests.bench.kit import ThinMaster, run_task
from tests.bench.pods import run_group
from tests.e2e.datacenter import page, shim
from tests.support.wait import PATIENCE, until
from tests.triton.api_errors import ApiError
from tests.triton.machines import State
from tests.triton.simulator import TritonSimulator

IMAGE = "busybox:latest"
RUNNING, KILLED, FAILED = TaskState.TASK_RUNNING, TaskState.TASK_KILLED, TaskState.TASK_FAILED


async def test_a_killed_task_leaves_no_container(triton: TritonSimulator, tmp_path: Path) -> None:
    triton.options.provision_seconds = 0.3
    async with shim(triton, tmp_path) as (master, _):
        names = ["a", "b", "c"]
        for name in names:
            master.launch(name, IMAGE)
        await master.until(master.reached(names, RUNNING))
        assert {machine.state for machine in triton.datacenter.machines} == {State.RUNNING}
        for name in names:
            master.kill(name)
        await master.until(master.reached(names, KILLED))
        await until(lambda: triton.remaining == [], "nothing left")
    assert len(triton.datacenter.machines) == 3


async def test_costs_are_shown_in_state_and_metrics(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text('{"sample-128M": 0.36}')
    triton.options.provision_seconds = 0.2
    flags = [f"--triton_prices={prices}", "--domain=us/endpoint"]
    async with shim(triton, tmp_path, "one", *flags) as (master, agent):
        master.launch("a", IMAGE)
        await master.until(master.reached(["a"], RUNNING))

        async def priced() -> bool:
            return "triton_cost_per_hour 0.36" in await page(agent, "metrics")

        await until(priced, "a price")
        state = json.loads(await page(agent, "state"))
        (task,) = state["frameworks"][0]["executors"][0]["tasks"]
        assert task["resources"]["mem"] == 32.0
        assert task["triton"] == {"package": "sample-128M", "mem": 128}
        (account,) = state["triton"]["tasks"]
        assert (account["task_id"], account["package"]) == ("a", "sample-128M")
        assert state["triton"]["packages"]["sample-128M"]["price_per_hour"] == 0.36
        zone = state["domain"]["fault_domain"]["zone"]["name"]
        assert zone == state["attributes"]["datacenter"] == "test-1"
        metrics = await page(agent, "metrics")
        assert "triton_containers_without_task 0.0" in metrics
        assert re.search(r"triton_certificate_days_left 36(49\.9\d*|50\.0)$", metrics, re.MULTILINE)
        master.kill("a")
        await master.until(master.reached(["a"], KILLED))
        await until(lambda: triton.remaining == [], "nothing left")


async def test_an_option_that_triton_ignores_is_refused_or_warned_of(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    for wanted, state in (("refuse", FAILED), ("warn", RUNNING)):
        flag = f"--triton_unsupported={wanted}"
        async with shim(triton, tmp_path, wanted, flag) as (master, agent):
            message = run_task(master.agent_id, "a", IMAGE, "sleep 100")
            message.task.container.docker.privileged = True
            master.tell(message)
            await master.until(master.reached(["a"], state))
            assert ("Triton ignores it: container.docker.privileged" in agent.log) == (
                wanted == "warn"
            )
            master.kill("a")
            await until(lambda: triton.remaining == [], "nothing left")


async def test_a_kill_during_provisioning(triton: TritonSimulator, tmp_path: Path) -> None:
    triton.options.provision_when = provision = asyncio.Event()
    async with shim(triton, tmp_path) as (master, _):
        master.launch("a", IMAGE)
        await until(lambda: triton.remaining, "provisioning")
        master.kill("a")
        await master.until(master.reached(["a"], KILLED))
        provision.set()
        await until(lambda: triton.remaining == [], "nothing left")
    assert triton.datacenter.machines[0].started is None


async def test_a_restart_during_provisioning(triton: TritonSimulator, tmp_path: Path) -> None:
    triton.options.provision_when = provision = asyncio.Event()
    async with shim(triton, tmp_path) as (master, agent):
        master.launch("a", IMAGE)
        await until(lambda: triton.remaining, "provisioning")
        await agent.kill()
        await agent.start()
        provision.set()
        await master.until(master.reached(["a"], RUNNING))
        assert len(triton.datacenter.machines) == 1
        master.kill("a")
        await master.until(master.reached(["a"], KILLED))
        await until(lambda: triton.remaining == [], "nothing left")


async def test_triton_s_own_words_reach_the_framework(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    words = "problem creating container: No compute resources available: all full"
    triton.options.fail_provisions.append(ApiError(409, words, "NoAllocatableServersError"))
    async with shim(triton, tmp_path) as (master, _):
        master.launch("a", IMAGE)
        await master.until(master.reached(["a"], FAILED))
    assert "No compute resources available: all full" in master.said["a"]
    assert "NoAllocatableServersError, Triton request" in master.said["a"]
    assert triton.remaining == []


async def test_an_unknown_exit_code_is_a_failure(triton: TritonSimulator, tmp_path: Path) -> None:
    async with shim(triton, tmp_path, program="tests.e2e.impatient") as (master, _):
        master.launch("a", IMAGE)
        await master.until(master.reached(["a"], RUNNING))
        await triton.datacenter.crash(triton.datacenter.machines[0])
        await master.until(master.reached(["a"], FAILED))
        await until(lambda: triton.remaining == [], "nothing left")


async def test_two_shims_of_one_account_leave_each_other_alone(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    async with shim(triton, tmp_path, "one") as (first, _):
        first.launch("a", IMAGE)
        await first.until(first.reached(["a"], RUNNING))
        async with shim(triton, tmp_path, "two") as (second, agent):
            second.launch("b", IMAGE)
            await second.until(second.reached(["b"], RUNNING))
            await agent.kill()
            second.registered.clear()
            await agent.start()
            await asyncio.wait_for(second.registered.wait(), PATIENCE)
            assert len(triton.remaining) == 2
            second.kill("b")
            await second.until(second.reached(["b"], KILLED))
            await until(lambda: len(triton.remaining) == 1, "one left")
        assert triton.datacenter.machines[0].state is State.RUNNING
        first.kill("a")
        await first.until(first.reached(["a"], KILLED))
        await until(lambda: triton.remaining == [], "nothing left")


async def test_pods_run_without_a_common_localhost_only_if_the_flag_says_so(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    triton.options.provision_seconds = 0.2
    async with shim(triton, tmp_path, "refuses") as (master, _):
        told: dict[str, str] = {}
        master.on_update = lambda u: told.update({u.status.task_id.value: u.status.message})
        message, names = run_group(master.agent_id, "pod", IMAGE)
        master.tell(message)
        await master.until(master.reached(names, FAILED))
        assert all("--triton_pods=separate" in told[name] for name in names)
        assert not triton.datacenter.machines
    async with shim(triton, tmp_path, "separate", "--triton_pods=separate") as (master, agent):
        message, names = run_group(master.agent_id, "pod", IMAGE)
        master.tell(message)
        await master.until(master.reached(names, RUNNING))
        assert len(triton.datacenter.machines) == len(names), "no infra container"
        (executor,) = json.loads(await page(agent, "state"))["frameworks"][0]["executors"]
        addresses = {
            address["ip_address"]
            for task in executor["tasks"]
            for network in task["statuses"][-1]["container_status"]["network_infos"]
            for address in network["ip_addresses"]
        }
        assert len(addresses) == len(names)
        await agent.kill()
        master.registered.clear()
        await agent.start()
        await asyncio.wait_for(master.registered.wait(), PATIENCE)
        assert len(triton.remaining) == len(names), "the pod outlives its agent"
        await triton.datacenter.crash(triton.datacenter.machines[0])
        await until(lambda: len(ended(master, names, FAILED)) == 1, "a failure")
        await until(lambda: len(ended(master, names, KILLED)) == 2, "the end of its group")
        await until(lambda: triton.remaining == [], "nothing left")

        message, names = run_group(master.agent_id, "second", IMAGE)
        master.tell(message)
        await master.until(master.reached(names, RUNNING))
        master.kill(names[0])
        await master.until(master.reached(names, KILLED))
        await until(lambda: triton.remaining == [], "nothing left")


def ended(master: ThinMaster, names: list[str], state: TaskState.ValueType) -> list[str]:
    return [name for name in names if (name, state) in master.seen]
