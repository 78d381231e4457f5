"""Thousands of launches against a Triton that takes its time, and thousands of tasks that run.

The agent, the simulator of Triton and this master are three processes; what is measured is the
agent's. Printed are:

* how soon all launches are in provisioning at once, and how soon after it they run;
* pongs, all of them and those after the burst; threads; resident memory per waiting launch;
* with all tasks running and nothing happening: share of a core, and lists a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import ssl
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from shim import limits
from shim.model.ids import Pid
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState
from shim.wire import codec
from tests.bench.kit import ThinMaster, rss_kb
from tests.e2e.agents import AgentProcess, ExecutedAgent
from tests.support.forkserver import ROOT

IMAGE = "busybox:latest"
PING_EVERY = 0.02
REAL_PINGS = 15.0
"""As a real master's; without any the agent would register again and again."""


class PingingMaster(ThinMaster):
    """Pings far more often than a real one, and notes how long each pong took."""

    def __init__(self) -> None:
        super().__init__()
        self.pongs: list[tuple[float, float]] = []
        """When each ping was sent, and how long its pong took."""
        self._sent: deque[float] = deque()

    def _deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        if isinstance(codec.decode(name, body, codec.TO_MASTER), m.PongSlaveMessage):
            sent = self._sent.popleft()
            self.pongs.append((sent, time.monotonic() - sent))
        else:
            super()._deliver(process, sender, name, body)

    async def ping_forever(self, every: float = PING_EVERY) -> None:
        while True:
            self._sent.append(time.monotonic())
            self.tell(m.PingSlaveMessage(connected=True))
            await asyncio.sleep(every)


class SimulatorProcess:
    """``python -m tests.triton`` in a process of its own."""

    def __init__(self, out: Path, provision_seconds: float) -> None:
        self.certs = out
        self._arguments = ["--out", str(out), "--provision-seconds", str(provision_seconds)]
        self._process: asyncio.subprocess.Process | None = None
        self.host = ""

    async def __aenter__(self) -> SimulatorProcess:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.triton",
            *self._arguments,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        while not (line := await self._line()).startswith("# Ctrl-C"):
            if line.startswith("export DOCKER_HOST="):
                self.host = line.partition("=")[2]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.terminate()
        # Its last line names all remaining machines, which is more than a pipe holds.
        await self._process.communicate()

    async def lists(self) -> int:
        """How many lists it has been asked for."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)
        return int(json.loads(await self._line()).get("GET /containers/json", 0))

    async def provisioning(self, session: aiohttp.ClientSession) -> int:
        """How many machines are being provisioned right now."""
        context = ssl.create_default_context(cafile=self.certs / "ca.pem")
        context.load_cert_chain(self.certs / "cert.pem", self.certs / "key.pem")
        url = self.host.replace("tcp:", "https:") + "/v1.21/containers/json?all=1"
        async with session.get(url, ssl=context) as answer:
            return sum(each["Status"].startswith("Prov") for each in await answer.json())

    async def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()


@dataclass
class Watched:
    """What the agent's process needed while it was watched."""

    master: ThinMaster
    waiting_kb: int = 0
    """Until the first of the launches ran: all of them waited."""
    rss_kb: int = 0
    threads: int = 0
    provisioning: list[tuple[float, int]] = field(default_factory=list)

    async def watch(self, agent: AgentProcess, simulator: SimulatorProcess) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                self.rss_kb = max(self.rss_kb, rss_kb(agent.pid))
                if not any(state == TaskState.TASK_RUNNING for _, state in self.master.seen):
                    self.waiting_kb = self.rss_kb
                self.threads = max(self.threads, threads(agent.pid))
                self.provisioning.append((time.monotonic(), await simulator.provisioning(session)))
                await asyncio.sleep(1)


async def warm(master: ThinMaster, count: int) -> None:
    """What is needed once, for however many launches, is no launch's share: code, buffers, and the
    connections that the first creates are held on."""
    names = [f"warm-{number}" for number in range(count)]
    for name in names:
        master.launch(name, IMAGE)
    await master.until(master.reached(names, TaskState.TASK_RUNNING), 3600)


async def burst(
    master: PingingMaster, agent: AgentProcess, simulator: SimulatorProcess, count: int, prefix: str
) -> None:
    before, watched = rss_kb(agent.pid), Watched(master)
    master.pongs.clear()
    master.seen.clear()
    names = [f"{prefix}-{number}" for number in range(count)]
    beside = [
        asyncio.create_task(master.ping_forever()),
        asyncio.create_task(watched.watch(agent, simulator)),
    ]
    began = time.monotonic()
    for name in names:
        master.launch(name, IMAGE)
    sent = time.monotonic()
    failed = (TaskState.TASK_FAILED, TaskState.TASK_LOST)
    await master.until(master.reached(names, TaskState.TASK_RUNNING, *failed), 3600)
    assert not any(state in failed for _, state in master.seen), "a task failed"
    took = max(master.seen[name, TaskState.TASK_RUNNING] for name in names) - began
    for task in beside:
        task.cancel()
    await asyncio.wait(beside)
    most = max(number for _, number in watched.provisioning)
    when = next(at for at, number in watched.provisioning if number == most) - began
    print(f"{count} launches sent in {sent - began:.2f} s")
    print(f"  {most} of them in provisioning at once after {when:.0f} s")
    print(f"  all running after {took:.0f} s; {watched.threads} threads")
    waiting, most_kb = ((kb - before) / count for kb in (watched.waiting_kb, watched.rss_kb))
    print(f"  memory: {before / 1024:.0f} MB before, {waiting:.1f} kB more per waiting launch")
    print(f"  (at most {most_kb:.1f} kB more each, while all of them start)")
    print_pongs(master.pongs, sent)


def print_pongs(pongs: list[tuple[float, float]], sent: float) -> None:
    """All of them, and those from the end of the burst on: messages are taken in order, so a ping
    sent behind all launches waits for them to be taken."""
    taken = next(at + took for at, took in pongs if at >= sent)
    print(f"  all launches taken after {taken - sent:.2f} s (a pong behind them)")
    print(f"  pongs: {_spread(took for _, took in pongs)}")
    print(f"  pongs after that: {_spread(took for at, took in pongs if at >= taken)}")


def _spread(seconds: Iterable[float]) -> str:
    ms = sorted(each * 1000 for each in seconds)
    p50, p99 = (ms[int(len(ms) * share)] for share in (0.5, 0.99))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {ms[-1]:.0f} ms"


async def idle(
    agent: AgentProcess, simulator: SimulatorProcess, count: int, seconds: float
) -> None:
    # Lists come more often for a while after tasks came.
    await asyncio.sleep(limits.POLL_BUSY + 10)
    cpu, lists, began = cpu_seconds(agent.pid), await simulator.lists(), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    share = (cpu_seconds(agent.pid) - cpu) / took
    listed = (await simulator.lists() - lists) / took * 60
    size = rss_kb(agent.pid) / 1024
    print(f"{count} tasks run, nothing happens: {share:.1%} of a core, {listed:.1f} lists a minute")
    print(f"  memory: {size:.0f} MB")


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with (
            SimulatorProcess(directory / "simulator", given.provision_seconds) as simulator,
            PingingMaster() as master,
        ):
            flags = [f"--docker_host={simulator.host}", f"--docker_cert_path={simulator.certs}"]
            resources = "--resources=cpus:1000;mem:100000000;disk:1000000"
            if given.max_inflight:
                flags.append(f"--max_inflight={given.max_inflight}")
            agent = ExecutedAgent(
                master.address, directory / "agent", f"bench-{os.getpid()}", *flags, resources
            )
            await agent.start()
            try:
                await asyncio.wait_for(master.registered.wait(), 30)
                await warm(master, limits.CREATES_HELD)
                await burst(master, agent, simulator, given.launches, "first")
                if given.running > given.launches:
                    await burst(master, agent, simulator, given.running - given.launches, "more")
                pings = asyncio.create_task(master.ping_forever(REAL_PINGS))
                await idle(agent, simulator, max(given.launches, given.running), given.idle_seconds)
                pings.cancel()
            except BaseException:
                print(agent.log[-3000:], file=sys.stderr)
                raise
            finally:
                await agent.end()


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench triton", description=__doc__)
    parser.add_argument("--launches", type=int, default=2000)
    parser.add_argument("--provision-seconds", type=float, default=30.0)
    parser.add_argument("--running", type=int, default=10_000)
    parser.add_argument("--max-inflight", type=int, default=0, help="the agent's; its default: 0")
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
