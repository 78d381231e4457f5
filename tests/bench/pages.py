"""How long pages of 10,000 tasks take, and for how long they hold the event loop.

One process holds the agent's core with simulated running tasks, its pages, and a probe of the loop.
``curl`` in another process reads the pages. A row for each page has medians of the time that a
reader waited and that this process worked, and the longest time for which the loop was held, how
much of it this process computed, and the longest garbage collection. ``nice -n -10`` gives figures
like those of an idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import shlex
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
from shim.dev.master.dev_master import serve as dev_master
from shim.dev.master.master_state import MasterFramework, TaskEntry
from shim.http.basic_auth import BasicAuth
from shim.http.files import FilesPages
from shim.http.health import Liveness
from shim.http.log_ring import LogRing
from shim.http.operator_api.handler import PATH, Access, OperatorApi
from shim.http.pages import agent_pages
from shim.http.router import Router
from shim.http.task_json_cache import TaskJsonCache
from shim.http.task_metrics import TaskMetrics
from shim.http.view import View
from shim.model import facts
from shim.model.container import Ref, Usage
from shim.model.ids import FrameworkId
from shim.model.resource_sets import Resources
from shim.telemetry.launch_stats import LaunchStats
from shim.telemetry.metrics import Metrics
from shim.wire.server import Inbox, Listener, bind, serve
from tests.bench.kit import LoopProbe, rss_kb
from tests.http.page_data import (
    FRAMEWORK,
    FakeFetchStats,
    FakeFiles,
    FakeOutputs,
    framework_info,
    registered_core,
    run_tasks,
)

STREAMS, STREAMS_SECONDS = 20, 20.0
CALLS = ("GET_STATE", "GET_TASKS", "GET_EXECUTORS", "GET_CONTAINERS", "GET_METRICS")
PAGES = ("/state", "/monitor/statistics", "/containers", "/metrics/snapshot", "/files/debug")
MASTER_PAGES = ("/state", "/tasks", "/frameworks", "/slaves")
METRICS_MAX_TASKS = 1000
"""The default of ``--metrics_max_tasks``."""


class Samples:
    """Every task has been sampled."""

    def __init__(self, refs: list[Ref]) -> None:
        self._usages = {ref: Usage(timestamp=1.0, mem_rss_bytes=2**20) for ref in refs}

    async def usages(self, refs: Collection[Ref] | None = None) -> dict[Ref, Usage]:
        return self._usages if refs is None else {ref: self._usages[ref] for ref in refs}


@dataclass(frozen=True)
class Reading:
    """How one page is read: a name for the table, and what ``curl`` is given."""

    name: str
    path: str
    options: tuple[str, ...] = ()
    readers: int = 1
    """At once."""

    @classmethod
    def call(cls, kind: str, media_type: str = "application/json") -> Reading:
        given = ("-d", f'{{"type":"{kind}"}}', "-H", "Content-Type: application/json")
        short = media_type.removeprefix("application/").removeprefix("x-")
        return cls(f"{kind}, {short}", PATH, (*given, "-H", f"Accept: {media_type}"))


class Reader:
    """A shell of its own that runs ``curl``: to start a process here would hold the loop."""

    def __init__(self, shell: asyncio.subprocess.Process) -> None:
        assert shell.stdin is not None
        assert shell.stdout is not None
        self._shell, self._stdin, self._stdout = shell, shell.stdin, shell.stdout

    @classmethod
    async def start(cls) -> Reader:
        piped = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec("bash", stdin=piped, stdout=piped))

    async def read(self, base: str, reading: Reading) -> int:
        """Return the bytes of one answer, once all of its readers have theirs."""
        curl = ("curl", "-s", "-o", "/dev/null", "-w", "%{size_download}\\n")
        line = shlex.join([*curl, *reading.options, base + reading.path])
        self._stdin.write(f"{f'{line} & ' * reading.readers} wait\n".encode())
        sizes = [int(await self._stdout.readline()) for _ in range(reading.readers)]
        return max(sizes)

    async def stop(self) -> None:
        self._stdin.close()
        await self._shell.wait()


HEAD = f"{'page':32}{'kB':>8}{'waited':>9}{'work':>8}{'held':>8}{'of ours':>9}{'gc':>8}   (ms)"


async def show(base: str, reading: Reading, rounds: int, reader: Reader, probe: LoopProbe) -> None:
    """A row of the table: medians of waiting and of this process' work, then longest times."""
    waited, worked, size = [], [], 0
    probe.reset()
    for _ in range(rounds):
        before, cpu = time.perf_counter(), time.process_time()
        size = await reader.read(base, reading)
        waited.append(time.perf_counter() - before)
        worked.append(time.process_time() - cpu)
        await asyncio.sleep(0.05)
    row(reading.name, size, waited, worked, probe)


def row(name: str, size: int, waited: list[float], worked: list[float], probe: LoopProbe) -> None:
    times = (statistics.median(waited), statistics.median(worked))
    longest = (probe.held, probe.worked, probe.collected)
    cells = "{:>9.0f}{:>8.0f}{:>8.1f}{:>9.1f}{:>8.1f}".format(
        *(1000 * each for each in (*times, *longest))
    )
    print(f"{name:32}{size / 1000:>8.0f}{cells}", flush=True)


async def start(view: View, cache: TaskJsonCache) -> Listener:
    files, auth = FilesPages(view, LogRing()), BasicAuth({}, frozenset())
    pages = agent_pages(view, cache, files)

    def add_routes(app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", router.handle)

    operator_api = OperatorApi(view, cache, files, None, Access(auth, False, ()))
    task_metrics = TaskMetrics(view.agent, view.usages, METRICS_MAX_TASKS, view.time_slicer)
    apis = {PATH: operator_api.handle}
    router = Router(pages, Metrics(), auth, "slave(1)", apis, task_metrics)
    inbox = Inbox(lambda process: True, lambda *_: None)
    return await serve(add_routes, inbox, bind("127.0.0.1", 0))


async def measure(count: int, rounds: int) -> None:
    gc.set_threshold(*limits.GC_THRESHOLDS)
    before = rss_kb(os.getpid())
    core = registered_core()
    refs = run_tasks(core, count)
    loaded = rss_kb(os.getpid())
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
        reader, probe = await Reader.start(), LoopProbe()
        print(HEAD)
        await show(base, Reading("/state, nothing prepared", "/state"), 1, reader, probe)
        warming = asyncio.create_task(cache.keep_warm())
        began = time.perf_counter()
        await asyncio.sleep(2 * limits.PAGE_WARM_INTERVAL + 1)
        row("kept prepared", 0, [time.perf_counter() - began], [0.0], probe)
        for reading in readings(refs):
            await show(base, reading, rounds, reader, probe)
        print(f"memory: {(rss_kb(os.getpid()) - loaded) / count:.1f} kB a task for pages,")
        print(f"  beside {(loaded - before) / count:.1f} kB a task of the core's")
        await measure_streams(base, core, refs)
        warming.cancel()
        await listener.close()
        await measure_master(core, refs, rounds, reader, probe)
        probe.close()
        await reader.stop()


def readings(refs: list[Ref]) -> list[Reading]:
    ids = ",".join(ref.container_id for ref in refs[:50])
    return [
        *(Reading(path, path) for path in PAGES),
        Reading("/containers of a framework", f"/containers?framework_id={FRAMEWORK}"),
        Reading("/metrics of 1,000 tasks", "/metrics"),
        Reading("/live/task", f"/live/task?id={refs[-1].container_id}"),
        Reading("/live/usage", f"/live/usage?ids={ids}"),
        # It ends when curl has waited for a second.
        Reading("/live/events, the first second", "/live/events", ("-sN", "-m", "1")),
        *(Reading.call(kind) for kind in CALLS),
        *(Reading.call(kind, "application/x-protobuf") for kind in CALLS),
        Reading("/state, gzip", "/state", ("--compressed",)),
        Reading("/containers, gzip", "/containers", ("--compressed",)),
        Reading("8 readers of /state", "/state", readers=8),
        Reading("20 of /live/events", "/live/events", ("-sN", "-m", "1"), readers=STREAMS),
    ]


async def measure_master(
    core: Core, refs: list[Ref], rounds: int, reader: Reader, probe: LoopProbe
) -> None:
    """The pages of the embedded master, with the same tasks."""
    async with dev_master("127.0.0.1", 0) as master:
        framework = MasterFramework(FrameworkId(FRAMEWORK), framework_info(), time.time())
        for ref in refs:
            wire = core.view.tasks[ref.task_key].wire
            entry = TaskEntry(wire, Resources.of(wire.resources))
            framework.tasks[ref.task_key.task_id] = entry
        master.state.frameworks[framework.id] = framework
        for path in MASTER_PAGES:
            reading = Reading(f"embedded master's {path}", path)
            await show(master.url, reading, rounds, reader, probe)


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
