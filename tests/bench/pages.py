"""What pages of 10,000 tasks take, and how long the loop is held up by them.

In one process: the agent's core with simulated running tasks, its pages, and a clock that looks
for stalls; the reader is another process. Printed are medians, and the longest stall of all.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from shim import limits
from shim.http.auth import BasicAuth
from shim.http.routes import Routes
from shim.http.view import View
from shim.model.container import Ref
from shim.model.usage import Usage
from shim.telemetry.log import Metrics
from shim.wire.server import Inbox, serve
from tests.bench.kit import rss_kb
from tests.http.world import Counts, Fetches, NoFiles, NoOutputs, Pulse, a_core, run_tasks

PAGES = ("/state", "/monitor/statistics", "/containers", "/metrics/snapshot", "/files/debug")


class Samples:
    """Every task has been sampled."""

    def __init__(self, refs: list[Ref]) -> None:
        self._usages = {ref: Usage(timestamp=1.0, mem_rss_bytes=2**20) for ref in refs}

    async def usages(self) -> dict[Ref, Usage]:
        return self._usages


@dataclass
class Stalls:
    """How late a coroutine is that asks for its turn every millisecond.

    ``work`` is the part of it that the loop itself was busy: the rest is other processes'.
    """

    longest: float = 0.0
    work: float = 0.0
    _task: asyncio.Task[None] | None = field(default=None, repr=False)

    async def watch(self) -> None:
        before, busy = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now, then = time.perf_counter(), time.thread_time()
            self.longest = max(self.longest, now - before - 0.001)
            self.work = max(self.work, then - busy)
            before, busy = now, then


async def fetch(url: str, *options: str) -> tuple[float, int]:
    """Seconds until its end, bytes; by curl, which is not our loop."""
    told = "%{time_total} %{size_download}"
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-o", "/dev/null", "-w", told, *options, url, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    seconds, size = out.split()
    return float(seconds), int(size)


async def fetched(url: str, rounds: int, *options: str) -> str:
    """Medians: how long the reader waited, and how long we worked."""
    waited, worked = [], []
    for _ in range(rounds):
        before = time.process_time()
        waited.append((await fetch(url, *options))[0] * 1000)
        worked.append((time.process_time() - before) * 1000)
    return f"{statistics.median(waited):.0f} ms ({statistics.median(worked):.0f} ms of work)"


async def measure(count: int, rounds: int) -> None:
    before = rss_kb_here()
    core = a_core()
    refs = run_tasks(core, count)
    loaded = rss_kb_here()
    gc.freeze()
    with tempfile.TemporaryDirectory() as directory:
        site = Routes(BasicAuth({}, frozenset()), "slave(1)", "1.11.0", {}, Metrics())
        site.open(
            View(
                agent=core.view,
                work_dir=str(Path(directory)),
                flags={},
                started=time.time(),
                outputs=NoOutputs(),
                files=NoFiles(),
                usages=Samples(refs),
                pulse=Pulse(),
                counts=Counts(),
                fetches=Fetches(),
            )
        )
        listener = await serve(
            site.setup, Inbox(lambda process: False, lambda *_: None), "127.0.0.1", 0
        )
        base = f"http://127.0.0.1:{listener.port}"
        stalls = Stalls()
        watching = asyncio.create_task(stalls.watch())
        seconds, size = await fetch(f"{base}/state")
        print(f"{count} tasks; /state has {size / 2**20:.1f} MB")
        print(f"/state, nothing prepared: {seconds * 1000:.0f} ms, {stall(stalls)}")
        warm = asyncio.create_task(site.run())
        began = time.perf_counter()
        await asyncio.sleep(2 * limits.PAGE_WARM_INTERVAL + 1)
        print(f"kept prepared for {time.perf_counter() - began:.0f} s: {stall(stalls)}")
        print(f"memory: {(rss_kb_here() - loaded) / count:.1f} kB a task for pages,")
        print(f"  beside {(loaded - before) / count:.1f} kB a task of the core's")
        for path in PAGES:
            print(f"{path}: {await fetched(base + path, rounds)}, {stall(stalls)}")
        took = await fetched(f"{base}/state", rounds, "--compressed")
        print(f"/state, gzip: {took}, {stall(stalls)}")
        began = time.perf_counter()
        await asyncio.gather(*(fetch(base + "/state") for _ in range(8)))
        print(
            f"8 readers of /state: {(time.perf_counter() - began) * 1000:.0f} ms, {stall(stalls)}"
        )
        warm.cancel()
        watching.cancel()
        await listener.close()
        site.close()


def stall(stalls: Stalls) -> str:
    text = f"longest stall {stalls.longest * 1000:.0f} ms ({stalls.work * 1000:.0f} ms of it ours)"
    stalls.longest = stalls.work = 0.0
    return text


def rss_kb_here() -> int:
    import os

    return rss_kb(os.getpid())


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench pages", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    asyncio.run(measure(given.count, given.rounds))


if __name__ == "__main__":
    main()
