"""Launches through the shim beside the same creates and starts straight on the Docker API.

Rounds alternate, so that whatever else the machine does meets both. Printed are medians:

* throughput: N containers, asked for at once through the shim; straight, the same number of calls
  in flight at a time as the shim has;
* latency: one at a time, from RunTask to TASK_RUNNING, and create plus start straight;
* the agent's memory with and without N running tasks, and the processes it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import docker

from shim import limits
from shim.protos.mesos_pb2 import TaskState
from tests.bench.kit import ThinMaster, children, rss_kb
from tests.e2e.agents import AgentProcess, ExecutedAgent
from tests.support import busybox

SOCKET = "/var/run/docker.sock"


class Straight:
    """The Docker API itself, spoken as plainly as can be."""

    def __init__(self, image: str) -> None:
        connector = aiohttp.UnixConnector(SOCKET, limit=0)
        self._http = aiohttp.ClientSession("http://docker", connector=connector)
        self._image = image

    async def __aenter__(self) -> Straight:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def call(self, method: str, path: str, **arguments: Any) -> None:
        async with self._http.request(method, path, **arguments) as answer:
            body = await answer.text()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {body}")

    async def bring_up(self, name: str) -> None:
        body = {
            "Image": self._image,
            "Entrypoint": ["/bin/sh"],
            "Cmd": ["-c", "sleep 100000"],
            "HostConfig": {"NetworkMode": "bridge", "Memory": 32 * 2**20, "CpuShares": 10},
        }
        await self.call("POST", f"/containers/create?name={name}", json=body)
        await self.call("POST", f"/containers/{name}/start")

    async def remove(self, name: str) -> None:
        await self.call("DELETE", f"/containers/{name}?force=1&v=1")


async def straight_throughput(straight: Straight, count: int, at_once: int) -> float:
    """Containers a second."""
    gate = asyncio.Semaphore(at_once)

    async def gated(work: Any) -> None:
        async with gate:
            await work

    names = [f"bench-{uuid.uuid4()}" for _ in range(count)]
    began = time.monotonic()
    await asyncio.gather(*(gated(straight.bring_up(name)) for name in names))
    took = time.monotonic() - began
    await asyncio.gather(*(gated(straight.remove(name)) for name in names))
    return count / took


async def straight_latency(straight: Straight) -> float:
    """Seconds."""
    name = f"bench-{uuid.uuid4()}"
    began = time.monotonic()
    await straight.bring_up(name)
    took = time.monotonic() - began
    await straight.remove(name)
    return took


async def shim_throughput(master: ThinMaster, image: str, count: int) -> tuple[float, list[str]]:
    """Containers a second, and the tasks, which run on."""
    names = [f"t-{uuid.uuid4()}" for _ in range(count)]
    began = time.monotonic()
    for name in names:
        master.launch(name, image)
    await master.until(master.reached(names, TaskState.TASK_RUNNING))
    took = max(master.seen[name, TaskState.TASK_RUNNING] for name in names) - began
    return count / took, names


async def end(master: ThinMaster, names: list[str], shim_id: str) -> None:
    for name in names:
        master.kill(name)
    await master.until(master.reached(names, TaskState.TASK_KILLED))
    client = docker.from_env()
    filters = {"label": f"mesos-shim.id={shim_id}"}
    while client.api.containers(all=True, filters=filters):
        await asyncio.sleep(0.1)
    client.close()


async def shim_latency(master: ThinMaster, image: str, shim_id: str) -> float:
    name = f"t-{uuid.uuid4()}"
    began = time.monotonic()
    master.launch(name, image)
    await master.until(master.reached([name], TaskState.TASK_RUNNING))
    took = master.seen[name, TaskState.TASK_RUNNING] - began
    await end(master, [name], shim_id)
    return took


async def measure(count: int, rounds: int, singles: int) -> None:
    client = docker.from_env()
    image = busybox.build(client)
    client.close()
    shim_id = f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory() as directory:
        async with ThinMaster() as master, Straight(image) as straight:
            agent = ExecutedAgent(master.address, Path(directory) / "agent", shim_id)
            await agent.start()
            await asyncio.wait_for(master.registered.wait(), 20)
            try:
                await rounds_of(master, straight, agent, image, shim_id, count, rounds, singles)
            finally:
                await agent.end()


async def rounds_of(
    master: ThinMaster,
    straight: Straight,
    agent: AgentProcess,
    image: str,
    shim_id: str,
    count: int,
    rounds: int,
    singles: int,
) -> None:
    raw, through = [], []
    await shim_latency(master, image, shim_id)
    _, names = await shim_throughput(master, image, count)
    await end(master, names, shim_id)
    idle = rss_kb(agent.pid)
    loaded, started = [], 0
    for _ in range(rounds):
        raw.append(await straight_throughput(straight, count, limits.MAX_INFLIGHT))
        rate, names = await shim_throughput(master, image, count)
        through.append(rate)
        loaded.append(rss_kb(agent.pid))
        started = max(started, children(agent.pid))
        await end(master, names, shim_id)
        print(f"  round: straight {raw[-1]:6.2f}/s, through the shim {through[-1]:6.2f}/s")
    ratio = statistics.median(through) / statistics.median(raw)
    print(f"throughput: {ratio:.2f} of the Docker API's ({count} containers, {rounds} rounds)")
    slow, fast = [], []
    for _ in range(singles):
        fast.append(await straight_latency(straight))
        slow.append(await shim_latency(master, image, shim_id))
    above = (statistics.median(slow) - statistics.median(fast)) * 1000
    print(
        f"latency: RunTask to TASK_RUNNING {statistics.median(slow) * 1000:.0f} ms, create+start "
        f"{statistics.median(fast) * 1000:.0f} ms: {above:+.0f} ms (p50 of {singles})"
    )
    each = (statistics.median(loaded) - idle) / count
    print(f"memory: {idle / 1024:.0f} MB idle, {each:.0f} kB for each of {count} running tasks")
    print(f"processes started for {count} tasks: {started}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench launch", description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--singles", type=int, default=15)
    given = parser.parse_args()
    assert given.count > 0
    assert limits.MAX_INFLIGHT > 0
    asyncio.run(measure(given.count, given.rounds, given.singles))


if __name__ == "__main__":
    main()
