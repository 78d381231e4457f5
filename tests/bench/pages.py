"""How long pages of 10,000 tasks take, and for how long they block the event loop.

One process holds the agent's core with simulated running tasks, its pages, and a coroutine that
measures stalls of the loop. ``curl`` in another process reads the pages. Medians are printed, and
the longest stall.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from shim import limits
from shim.core.agent import Core
from shim.core.lifecycle import Event
from shim.http.basic_auth import BasicAuth
from shim.http.files import FilesPages
from shim.http.health import Liveness
from shim.http.log_ring import LogRing
from shim.http.operator_api.handler import PATH, Access, OperatorApi
from shim.http.pages import agent_pages
from shim.http.router import Router
from shim.http.task_json_cache import TaskJsonCache
from shim.http.view import View
from shim.model import facts
from shim.model.container import Ref, Usage
from shim.telemetry.launch_stats import LaunchStats
from shim.telemetry.metrics import Metrics
from shim.wire.server import Inbox, Listener, bind, serve
from tests.bench.kit import rss_kb
from tests.http.page_data import FakeFetchStats, FakeFiles, FakeOutputs, registered_core, run_tasks

STREAMS, STREAMS_SECONDS = 20, 20.0
CALLS = ("GET_STATE", "GET_TASKS", "GET_EXECUTORS", "GET_CONTAINERS")
PAGES = ("/state", "/monitor/statistics", "/containers", "/metrics/snapshot", "/files/debug")


class Samples:
    """Every task has been sampled."""

    def __init__(self, refs: list[Ref]) -> None:
        self._usages = {ref: Usage(timestamp=1.0, mem_rss_bytes=2**20) for ref in refs}

    async def usages(self, refs: Collection[Ref] | None = None) -> dict[Ref, Usage]:
        return self._usages if refs is None else {ref: self._usages[ref] for ref in refs}


@dataclass
class Stalls:
    """How late a coroutine wakes up that sleeps for a millisecond, again and again.

    ``work`` is the part of it in which this thread computed; the rest belongs to other processes.
    """

    longest: float = 0.0
    work: float = 0.0

    async def watch(self) -> None:
        before, cpu_before = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now, cpu_now = time.perf_counter(), time.thread_time()
            self.longest = max(self.longest, now - before - 0.001)
            self.work = max(self.work, cpu_now - cpu_before)
            before, cpu_before = now, cpu_now

    def take(self) -> str:
        """The longest stall as text; begins anew."""
        longest, work = self.longest * 1000, self.work * 1000
        self.longest = self.work = 0.0
        return f"longest stall {longest:.0f} ms ({work:.0f} ms of it ours)"


async def fetch(url: str, *options: str) -> tuple[float, int]:
    """Seconds until the end of the answer, and its bytes."""
    output = "%{time_total} %{size_download}"
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-o", "/dev/null", "-w", output, *options, url, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    seconds, size = out.split()
    return float(seconds), int(size)


async def medians(url: str, rounds: int, *options: str) -> str:
    """Of the time the reader waited, and of the time this process worked."""
    waited, worked = [], []
    for _ in range(rounds):
        before = time.process_time()
        waited.append((await fetch(url, *options))[0] * 1000)
        worked.append((time.process_time() - before) * 1000)
    return f"{statistics.median(waited):.0f} ms ({statistics.median(worked):.0f} ms of work)"


async def start(view: View, cache: TaskJsonCache) -> Listener:
    files, auth = FilesPages(view, LogRing()), BasicAuth({}, frozenset())
    pages = agent_pages(view, cache, files)

    def add_routes(app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", router.handle)

    operator_api = OperatorApi(view, cache, files, None, Access(auth, False, ()))
    router = Router(pages, Metrics(), auth, "slave(1)", {PATH: operator_api.handle})
    inbox = Inbox(lambda process: True, lambda *_: None)
    return await serve(add_routes, inbox, bind("127.0.0.1", 0))


async def measure(count: int, rounds: int) -> None:
    before = rss_kb(os.getpid())
    core = registered_core()
    refs = run_tasks(core, count)
    loaded = rss_kb(os.getpid())
    gc.freeze()
    with tempfile.TemporaryDirectory() as directory:
        view = View(
            agent=core.view,
            work_dir=str(Path(directory)),
            flags={},
            started=time.time(),
            outputs=FakeOutputs(),
            files=FakeFiles(),
            usages=Samples(refs).usages,
            liveness=Liveness,
            launch_stats=LaunchStats(lambda stage, s: None),
            fetch_stats=FakeFetchStats(),
        )
        cache = TaskJsonCache(view)
        listener = await start(view, cache)
        base = f"http://127.0.0.1:{listener.port}"
        stalls = Stalls()
        watching = asyncio.create_task(stalls.watch())
        seconds, size = await fetch(f"{base}/state")
        print(f"{count} tasks; /state has {size / 2**20:.1f} MB")
        print(f"/state, nothing prepared: {seconds * 1000:.0f} ms, {stalls.take()}")
        warming = asyncio.create_task(cache.keep_warm())
        began = time.perf_counter()
        await asyncio.sleep(2 * limits.PAGE_WARM_INTERVAL + 1)
        print(f"kept prepared for {time.perf_counter() - began:.0f} s: {stalls.take()}")
        print(f"memory: {(rss_kb(os.getpid()) - loaded) / count:.1f} kB a task for pages,")
        print(f"  beside {(loaded - before) / count:.1f} kB a task of the core's")
        for path in PAGES:
            print(f"{path}: {await medians(base + path, rounds)}, {stalls.take()}")
        for call in CALLS:
            given = ("-d", f'{{"type":"{call}"}}', "-H", "Content-Type: application/json")
            print(f"{call}: {await medians(base + PATH, rounds, *given)}, {stalls.take()}")
        took = await medians(f"{base}/state", rounds, "--compressed")
        print(f"/state, gzip: {took}, {stalls.take()}")
        began = time.perf_counter()
        await asyncio.gather(*(fetch(base + "/state") for _ in range(8)))
        took = f"{(time.perf_counter() - began) * 1000:.0f} ms"
        print(f"8 readers of /state: {took}, {stalls.take()}")
        watching.cancel()
        await measure_streams(base, core, refs)
        warming.cancel()
        await listener.close()


async def measure_streams(base: str, core: Core, refs: list[Ref]) -> None:
    """What event streams of the live page cost, while ten tasks change each second."""
    changing = asyncio.create_task(_change(core, refs))
    idle, before = await _worked(base)
    readers = [
        await asyncio.create_subprocess_exec(
            *("curl", "-sN", "-o", "/dev/null", f"{base}/live/events")
        )
        for _ in range(STREAMS)
    ]
    await asyncio.sleep(5.0)
    busy, during = await _worked(base)
    for reader in readers:
        reader.terminate()
        await reader.wait()
    changing.cancel()
    print(f"{STREAMS} event streams: {100 * (busy - idle):.1f} % of a core; {during}")
    print(f"  without them: {before}")


async def _worked(base: str) -> tuple[float, str]:
    """The share of a core that this process used, and for how long it let others wait.

    Another process sends pings as a master does. On a busy machine its wait is longer than the
    work of this process: how long the loop worked without a pause is shown beside it.
    """
    pings = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PINGS, base.rpartition(":")[2], str(STREAMS_SECONDS)),
        stdout=asyncio.subprocess.PIPE,
    )
    before, longest = time.process_time(), 0.0
    end = time.perf_counter() + STREAMS_SECONDS
    while time.perf_counter() < end:
        cpu = time.thread_time()
        await asyncio.sleep(0.005)
        longest = max(longest, time.thread_time() - cpu)
    share = (time.process_time() - before) / STREAMS_SECONDS
    answered = (await pings.communicate())[0].decode().strip()
    return share, f"pings: {answered}; the loop is busy for {longest * 1000:.0f} ms at most"


_PINGS = """
import socket, sys, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
ping = b"POST /slave(1)/PING HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: libprocess/m@127.0.0.1:1\\r\\n"
ping += b"Connection: Keep-Alive\\r\\nContent-Length: 0\\r\\n\\r\\n"
waited, end = [], time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    began = time.perf_counter()
    connection.sendall(ping)
    answer = b""
    while b"\\r\\n\\r\\n" not in answer:
        answer += connection.recv(4096)
    assert b" 202 " in answer, answer
    waited.append(time.perf_counter() - began)
    time.sleep(0.01)
waited.sort()
shown = (waited[len(waited) // 2], waited[int(len(waited) * 0.99)], waited[-1])
print("%d, answered in %.1f ms (median), %.1f (99 of 100), %.1f (longest)"
      % (len(waited), *(1000 * each for each in shown)))
"""
"""The pings of a master, from a process of their own."""


async def _change(core: Core, refs: list[Ref]) -> None:
    for number in itertools.count():
        ref = refs[number % len(refs)]
        core.tasks.apply(ref, Event.REPORT, facts.HealthReported(ref, healthy=bool(number % 2)))
        core.status_updates.drop(ref.task_key)
        core.ctx.take()
        await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench pages", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    asyncio.run(measure(given.count, given.rounds))


if __name__ == "__main__":
    main()
