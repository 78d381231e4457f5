"""Two agents on one journal in front of one account of the Triton simulator."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from shim.protos.mesos_pb2 import TaskState
from tests.e2e.agents import AgentProcess
from tests.e2e.datacenter import page, shim
from tests.support.wait import until
from tests.triton.machines import State
from tests.triton.simulator import TritonSimulator

pytestmark = pytest.mark.needs_zookeeper

IMAGE = "busybox:latest"
RUNNING, KILLED = TaskState.TASK_RUNNING, TaskState.TASK_KILLED


async def test_a_standby_takes_over_tasks_and_creates_of_the_account(
    triton: TritonSimulator, zookeeper: int, zk: KazooClient, tmp_path: Path
) -> None:
    """One task runs and one is being provisioned when the leader is killed: no machine is doubled,
    and none is stopped. The shim id is in the journal: both machines' ``--shim_id`` are one."""
    flags = (
        f"--journal=zk://127.0.0.1:{zookeeper}/mesos/triton",
        "--zk_session_timeout=2secs",
        "--hostname=localhost",
    )
    async with shim(triton, tmp_path, "one", *flags) as (master, leader):
        docker = f"--docker_host={triton.endpoint.docker_host}"
        certificates = f"--docker_cert_path={triton.certs}"
        standby = AgentProcess(
            master.address, tmp_path / "two", "one", docker, certificates, *flags
        )
        master.launch("a", IMAGE)
        await master.until(master.reached(["a"], RUNNING))
        triton.options.provision_when = provision = asyncio.Event()
        master.launch("b", IMAGE)
        await until(lambda: len(triton.datacenter.machines) == 2, "the second machine")
        await standby.start()
        try:
            await standby.logged("leads; waiting")
            master.registered.clear()
            await leader.kill()
            await asyncio.wait_for(master.registered.wait(), 90)
            assert master.reported == 2
            provision.set()
            master.launch("c", IMAGE)
            await master.until(master.reached(["b", "c"], RUNNING))
            assert len(triton.datacenter.machines) == 3
            assert {machine.state for machine in triton.datacenter.machines} == {State.RUNNING}
            assert "triton_containers_without_task 0.0" in await page(standby, "metrics")
            for name in ("a", "b", "c"):
                master.kill(name)
            await master.until(master.reached(["a", "b", "c"], KILLED))
            await until(lambda: triton.remaining == [], "nothing left")
        except BaseException:
            print(standby.log)
            raise
        finally:
            await standby.end()
    assert len(triton.datacenter.machines) == 3
