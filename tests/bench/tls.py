"""What TLS between master and agent costs a launch, and 10,000 pings.

Two agents in processes of their own on the same Docker Engine, one with plain links, one with TLS
and checks of both peers' certificates. Rounds alternate; each figure is the median of the rounds.
Printed are ratios, TLS to plain, of the time and of the agent's CPU:

* pings: a hundred at a time, until all pongs are there;
* launches: one at a time, from RunTask to TASK_RUNNING; the CPU includes the removal;
* connections: opened and closed, one at a time. A master makes one to each agent.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import docker

from shim.config.libprocess import tls_settings
from shim.protos import messages_pb2 as m
from shim.wire.connect import connector
from shim.wire.tls import Tls
from tests.bench.kit import ThinMaster, cpu_seconds
from tests.bench.launch import shim_latency
from tests.e2e.agents import ExecutedAgent
from tests.support import busybox
from tests.support.certificates import libprocess_environment

AT_ONCE = 100


@dataclass
class Side:
    """An agent and its master, with or without TLS."""

    tls: Tls | None
    master: ThinMaster
    agent: ExecutedAgent
    shim_id: str

    async def pings(self, count: int) -> float:
        """Seconds."""
        began = time.monotonic()
        for _ in range(count // AT_ONCE):
            wanted = self.master.pong_count + AT_ONCE
            for _ in range(AT_ONCE):
                self.master.tell(m.PingSlaveMessage(connected=True))
            await self.pongs(wanted)
        return time.monotonic() - began

    async def pongs(self, wanted: int) -> None:
        await self.master.until(lambda: self.master.pong_count >= wanted, look_every=0.0)

    async def launches(self, image: str, count: int) -> float:
        """Median seconds to TASK_RUNNING."""
        took = [await shim_latency(self.master, image, self.shim_id) for _ in range(count)]
        return statistics.median(took)

    async def connections(self, count: int) -> float:
        """Seconds."""
        connect, began = connector(self.tls), time.monotonic()
        for _ in range(count):
            _, writer = await connect(("127.0.0.1", self.agent.port))
            writer.transport.abort()
        return time.monotonic() - began


async def started(stack: AsyncExitStack, directory: Path, name: str, env: dict[str, str]) -> Side:
    settings = tls_settings(env)
    tls = None if settings is None else Tls(settings)
    master = await stack.enter_async_context(ThinMaster(tls))
    shim_id = f"bench-{os.getpid()}-{name}"
    agent = ExecutedAgent(master.address, directory / name, shim_id, **env)
    await agent.start()
    stack.push_async_callback(agent.end)
    await asyncio.wait_for(master.registered.wait(), 60)
    return Side(tls, master, agent, shim_id)


async def measure(pings: int, launches: int, connections: int, rounds: int) -> None:
    client = docker.from_env()
    image = busybox.build(client)
    client.close()
    works: dict[str, Callable[[Side], Awaitable[float]]] = {
        f"{pings} pings": lambda side: side.pings(pings),
        f"{launches} launches": lambda side: side.launches(image, launches),
        f"{connections} connections": lambda side: side.connections(connections),
    }
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with AsyncExitStack() as stack:
            plain = await started(stack, directory, "plain", {})
            tls = await started(stack, directory, "tls", libprocess_environment(directory))
            for what, work in works.items():
                await compare(what, work, [plain, tls], rounds)


async def compare(
    what: str, work: Callable[[Side], Awaitable[float]], sides: list[Side], rounds: int
) -> None:
    times, cpu = defaultdict(list), defaultdict(list)
    # The first round warms up.
    for number in range(rounds + 1):
        for index, side in enumerate(sides):
            before = cpu_seconds(side.agent.pid)
            seconds = await work(side)
            if number:
                times[index].append(seconds)
                cpu[index].append(cpu_seconds(side.agent.pid) - before)
    plain, tls = (statistics.median(times[index]) for index in range(2))
    plain_cpu, tls_cpu = (statistics.median(cpu[index]) for index in range(2))
    print(
        f"{what}: {tls / plain:.2f} of the time ({plain:.3f} s plain, {tls:.3f} s TLS), "
        f"{tls_cpu / max(plain_cpu, 0.01):.2f} of the agent's CPU ({plain_cpu:.2f} s, "
        f"{tls_cpu:.2f} s)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench tls", description=__doc__)
    parser.add_argument("--pings", type=int, default=10_000)
    parser.add_argument("--launches", type=int, default=20)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    asyncio.run(measure(given.pings, given.launches, given.connections, given.rounds))


if __name__ == "__main__":
    main()
