"""A custom executor on Triton, from launch to removal: its container keeps its size.

The machines of the simulator run nothing. The test is the executor: it takes what it needs from the
environment of its machine, and speaks v1 to the agent.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from shim.http.recordio import RecordDecoder
from shim.protos.mesos_pb2 import ContainerInfo, ExecutorInfo, TaskState, Value
from shim.protos.messages_pb2 import RunTaskMessage, ShutdownExecutorMessage
from tests.bench.kit import FRAMEWORK_ID, framework_info
from tests.e2e.datacenter import Master, shim
from tests.support.wait import PATIENCE, patience, until
from tests.triton.machines import Machine, State
from tests.triton.simulator import TritonSimulator

RUNNING, FAILED = TaskState.TASK_RUNNING, TaskState.TASK_FAILED
FINISHED = TaskState.TASK_FINISHED


def launch(agent_id: str, task_id: str, mem: float, *, first: bool = False) -> RunTaskMessage:
    """A task for an executor of 100 MB."""
    message = RunTaskMessage(framework=framework_info(), launch_executor=first, pid="")
    message.framework_id.value = FRAMEWORK_ID
    task, executor = message.task, message.task.executor
    task.name, task.task_id.value, task.slave_id.value = task_id, task_id, agent_id
    executor.type = ExecutorInfo.CUSTOM
    executor.executor_id.value, executor.framework_id.value = "E", FRAMEWORK_ID
    executor.command.value = "./executor"
    executor.container.type = ContainerInfo.DOCKER
    executor.container.docker.image = "busybox:latest"
    for owner, amount in ((executor, 100.0), (task, mem)):
        resource = owner.resources.add(name="mem", type=Value.SCALAR)
        resource.scalar.value, resource.allocation_info.role = amount, "*"
    return message


class V1Executor:
    """The process in this machine."""

    def __init__(self, machine: Machine, web: aiohttp.ClientSession) -> None:
        self.env = dict(entry.partition("=")[::2] for entry in machine.body["Env"])
        self._web = web
        self._events: aiohttp.ClientResponse | None = None
        self._decoder = RecordDecoder(1_000_000)
        self._heard: list[dict[str, Any]] = []

    async def call(self, kind: str, **body: Any) -> aiohttp.ClientResponse:
        call = {
            "type": kind,
            "executor_id": {"value": self.env["MESOS_EXECUTOR_ID"]},
            "framework_id": {"value": self.env["MESOS_FRAMEWORK_ID"]},
            **body,
        }
        token = self.env["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"]
        return await self._web.post(
            f"http://{self.env['MESOS_AGENT_ENDPOINT']}/api/v1/executor",
            json=call,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        )

    async def subscribe(self) -> None:
        """Again and again, as the drivers do, until the agent is there and ready."""

        async def subscribed() -> bool:
            try:
                self._events = await self.call("SUBSCRIBE", subscribe={})
            except aiohttp.ClientConnectionError:
                return False
            return self._events.status == 200

        await until(subscribed, "the subscription")

    async def hears(self, kind: str) -> dict[str, Any]:
        """The next event, which is of this kind."""
        assert self._events is not None
        async with patience():
            while not self._heard:
                chunk = await self._events.content.readany()
                self._heard += map(json.loads, self._decoder.feed(chunk))
        event = self._heard.pop(0)
        assert event["type"] == kind
        return event

    async def report(self, task_id: str, state: str, uuid: str) -> None:
        """Until it is acknowledged."""
        status = {
            "task_id": {"value": task_id},
            "state": state,
            "uuid": uuid,
            "source": "SOURCE_EXECUTOR",
        }
        answer = await self.call("UPDATE", update={"status": status})
        assert answer.status == 202
        assert (await self.hears("ACKNOWLEDGED"))["acknowledged"]["uuid"] == uuid


async def started(
    master: Master, triton: TritonSimulator, web: aiohttp.ClientSession
) -> V1Executor:
    """The executor with its first task, which runs."""
    master.tell(launch(master.agent_id, "a", 300, first=True))
    await until(lambda: triton.datacenter.machines, "the container of the executor")
    (machine,) = triton.datacenter.machines
    await until(lambda: machine.state is State.RUNNING, "its start")
    assert machine.host_config["Memory"] == 400 * 2**20, "of the executor and its first task"
    executor = V1Executor(machine, web)
    await executor.subscribe()
    await executor.hears("SUBSCRIBED")
    event = await executor.hears("LAUNCH")
    assert event["launch"]["task"]["task_id"] == {"value": "a"}
    await executor.report("a", "TASK_RUNNING", "AAAAAAAAQACAAAAAAAAAAQ==")
    await master.until(master.reached(["a"], RUNNING))
    return executor


async def test_an_executor_keeps_its_size_outlives_the_agent_and_leaves_nothing(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    triton.options.provision_seconds = 0.2
    grace = "--executor_shutdown_grace_period=300ms"
    async with (
        shim(triton, tmp_path, "one", grace) as (master, agent),
        aiohttp.ClientSession() as web,
    ):
        executor = await started(master, triton, web)
        # A task that needs more than the container has.
        master.tell(launch(master.agent_id, "b", 64))
        await master.until(master.reached(["b"], FAILED))
        assert "a container on Triton keeps the size of its first tasks" in master.said["b"]
        assert "ExecutorInfo.resources" in master.said["b"]
        # The agent dies; the executor and its task go on.
        await agent.kill()
        master.registered.clear()
        await agent.start()
        await asyncio.wait_for(master.registered.wait(), PATIENCE)
        await executor.subscribe()
        await executor.hears("SUBSCRIBED")
        assert master.reported == 1
        await executor.report("a", "TASK_FINISHED", "AAAAAAAAQACAAAAAAAAAAg==")
        await master.until(master.reached(["a"], FINISHED))
        # What the first task had is free for another one.
        master.tell(launch(master.agent_id, "c", 300))
        event = await executor.hears("LAUNCH")
        assert event["launch"]["task"]["task_id"] == {"value": "c"}
        shutdown = ShutdownExecutorMessage()
        shutdown.executor_id.value, shutdown.framework_id.value = "E", FRAMEWORK_ID
        master.tell(shutdown)
        await executor.hears("SHUTDOWN")
        # It does not end by itself: its container is stopped after the grace period.
        await master.until(master.reached(["c"], FAILED))
        assert master.said["c"].startswith("Executor terminated")
        await until(lambda: triton.remaining == [], "nothing left")
    assert len(triton.datacenter.machines) == 1
    triton.check_nothing_is_billed()
