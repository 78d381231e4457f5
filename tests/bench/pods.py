"""Pods of three tasks beside three single tasks: time to TASK_RUNNING, and the agent's memory.

Rounds alternate. Printed are medians:

* time: from the launches of N pods to TASK_RUNNING of all their tasks, and of 3 N single tasks, at
  the same concurrency;
* memory: what the agent takes for each running pod, and for each three running single tasks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import docker

from shim.protos.mesos_pb2 import ContainerInfo, ExecutorInfo, Image, TaskState, Value
from shim.protos.messages_pb2 import RunTaskGroupMessage
from tests.bench.kit import ThinMaster, framework_info, rss_kb, task_info
from tests.bench.launch import end
from tests.e2e.agents import ExecutedAgent
from tests.support import busybox

MEMBERS = 3
COMMAND = "sleep 100000"


def run_group(agent_id: str, pod: str, image: str) -> tuple[RunTaskGroupMessage, list[str]]:
    """The launch of a pod, and its tasks."""
    message = RunTaskGroupMessage(framework=framework_info(), launch_executor=True)
    executor = message.executor
    executor.type = ExecutorInfo.DEFAULT
    executor.executor_id.value = pod
    executor.framework_id.CopyFrom(message.framework.id)
    for name, amount in (("cpus", 0.01), ("mem", 32.0), ("disk", 1.0)):
        resource = executor.resources.add(name=name, type=Value.SCALAR)
        resource.scalar.value, resource.allocation_info.role = amount, "*"
    executor.container.type = ContainerInfo.MESOS
    executor.container.network_infos.add(name="bridge")
    names = [f"{pod}.{number}" for number in range(MEMBERS)]
    for name in names:
        info = message.task_group.tasks.add()
        info.CopyFrom(task_info(agent_id, name, image, COMMAND))
        info.ClearField("container")
        info.container.type = ContainerInfo.MESOS
        info.container.mesos.image.type = Image.DOCKER
        info.container.mesos.image.docker.name = image
        info.executor.CopyFrom(executor)
    return message, names


async def pods(master: ThinMaster, image: str, count: int) -> tuple[float, list[str]]:
    """Seconds until all tasks run, and the tasks."""
    launches = [run_group(master.agent_id, f"p-{uuid.uuid4()}", image) for _ in range(count)]
    return await _launched(
        master,
        [name for _, names in launches for name in names],
        [partial(master.tell, message) for message, _ in launches],
    )


async def singles(master: ThinMaster, image: str, count: int) -> tuple[float, list[str]]:
    """The same of as many single tasks."""
    names = [f"t-{uuid.uuid4()}" for _ in range(MEMBERS * count)]
    return await _launched(master, names, [partial(master.launch, name, image) for name in names])


async def _launched(
    master: ThinMaster, names: list[str], launches: list[Callable[[], None]]
) -> tuple[float, list[str]]:
    began = time.monotonic()
    for launch in launches:
        launch()
    await master.until(master.reached(names, TaskState.TASK_RUNNING))
    return max(master.seen[name, TaskState.TASK_RUNNING] for name in names) - began, names


async def measure(count: int, rounds: int) -> None:
    client = docker.from_env()
    image = busybox.build(client)
    client.close()
    shim_id = f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory() as directory:
        async with ThinMaster() as master:
            agent = ExecutedAgent(master.address, Path(directory) / "agent", shim_id)
            await agent.start()
            await asyncio.wait_for(master.registered.wait(), 20)
            try:
                await _rounds(master, agent, image, shim_id, count, rounds)
            finally:
                await agent.end()


async def _rounds(
    master: ThinMaster, agent: ExecutedAgent, image: str, shim_id: str, count: int, rounds: int
) -> None:
    kinds = {"pods": pods, "single tasks": singles}
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    grown: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(-1, rounds):
        for kind, launch in kinds.items():
            idle = rss_kb(agent.pid)
            seconds, names = await launch(master, image, count)
            loaded = rss_kb(agent.pid)
            await end(master, names, shim_id)
            if number >= 0:  # The first round fills caches and pools.
                took[kind].append(seconds)
                grown[kind].append((loaded - idle) / count)
                print(f"  round: {count} times {MEMBERS} as {kind}: {seconds:.2f} s")
    ratios = [pod / single for pod, single in zip(*took.values(), strict=True)]
    ratio = statistics.median(ratios)
    print(f"time: pods take {ratio:.2f} times as long as single tasks ({count} pods at once)")
    pod, single = (statistics.median(grown[kind]) for kind in kinds)
    print(f"memory: {pod:.0f} kB for each pod, {single:.0f} kB for its tasks as single ones")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench pods", description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    assert given.count > 0
    asyncio.run(measure(given.count, given.rounds))


if __name__ == "__main__":
    main()
