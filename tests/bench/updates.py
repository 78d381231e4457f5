"""Durable status updates a second, end to end, with 10,000 tasks: journal, wire and all.

The agent's real loop, core, journal (SQLite on disk) and wire run in one process, against an
endpoint that costs nothing: each task starts at once and ends when its TASK_RUNNING is
acknowledged. A thin master in a process of its own acknowledges over loopback. Counted is what was
acknowledged: a task's STARTING, RUNNING and FINISHED. ``--zookeeper`` measures the same with a
journal in one ZooKeeper and in three, on the same disk.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from shim import limits
from shim.agent import runtime
from shim.agent.journal import SqliteJournal
from shim.agent.journal_lock import Holder
from shim.agent.messenger import Messenger
from shim.agent.zookeeper_journal import zookeeper_journal
from shim.core.agent import Core
from shim.core.context import CoreSettings
from shim.model import facts, orders
from shim.model.container import Container, Phase
from shim.model.ids import Pid
from shim.model.records import Snapshot
from shim.model.settings import ZooKeeperUrl
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import SlaveInfo, TaskState
from shim.wire.framing import encode_request
from shim.wire.link import Links
from shim.wire.server import Inbox, bind, serve
from tests.bench.kit import FRAMEWORK_ID, rss_kb, run_task
from tests.support.zookeeper import Ensemble

INSPECT = b"[{" + b'"Key": "what docker inspect says", ' * 200 + b'"Id": "x"}]'
"""About as long as the real thing: 7 kB."""

PING_INTERVAL = 15.0

_MESSAGE = re.compile(
    rb"POST /([^/ ]+)/mesos\.internal\.(\w+) HTTP/1\.1\r\n.*?Libprocess-From: (\S+)\r\n.*?\r\n\r\n",
    re.DOTALL,
)


class Master(asyncio.Protocol):
    """Reads libprocess messages off a socket, which is all that is fast enough in Python."""

    def __init__(self, owner: MasterProcess) -> None:
        self._owner = owner
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        at = 0
        while head := _MESSAGE.match(self._data, at):
            end = head.end()
            body = b""
            if b"Transfer-Encoding" in head.group():
                line = self._data.find(b"\r\n", end)
                if line < 0:
                    break
                size = int(self._data[end:line], 16)
                if len(self._data) < line + 2 + size + 7:
                    break
                body = self._data[line + 2 : line + 2 + size]
                end = line + 2 + size + 7
            at = end
            self._transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            self._owner.received(head.group(2), head.group(3), body)
        self._data = self._data[at:]


class MasterProcess:
    """Registers the agent, launches ``count`` tasks, acknowledges, prints how long it took."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._finished = 0
        self.updates = 0
        self.done = asyncio.Event()
        self.registered = asyncio.Event()
        self.agent: Pid | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Master(self), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.pid = Pid("master", "127.0.0.1", port)
        print(port, flush=True)
        await self.registered.wait()
        assert self.agent is not None
        _, self._out = await asyncio.open_connection(*self.agent.address)
        self._answer(m.SlaveRegisteredMessage())
        pinging = asyncio.create_task(self._ping())
        began = time.monotonic()
        launch = run_task("bench-S0", "t", "image", "true")
        for number in range(self._count):
            launch.task.task_id.value = f"t{number}"
            self._tell(b"RunTaskMessage", launch.SerializeToString())
            if number % 100 == 0:
                await self._out.drain()
                await asyncio.sleep(0)
        await self.done.wait()
        print(f"{time.monotonic() - began:.3f} {self.updates}", flush=True)
        await asyncio.sleep(1)
        pinging.cancel()
        self._out.close()

    def _answer(self, answer: m.SlaveRegisteredMessage | m.SlaveReregisteredMessage) -> None:
        answer.slave_id.value = "bench-S0"
        self._tell(type(answer).__name__.encode(), answer.SerializeToString())

    async def _ping(self) -> None:
        """As a real master: an agent that hears no ping registers again."""
        while True:
            self._tell(b"PingSlaveMessage", m.PingSlaveMessage(connected=True).SerializeToString())
            await asyncio.sleep(PING_INTERVAL)

    def _tell(self, name: bytes, body: bytes) -> None:
        assert self.agent is not None
        full = f"mesos.internal.{name.decode()}"
        self._out.write(encode_request(self.agent, self.pid, full, body))

    def received(self, name: bytes, sender: bytes, body: bytes) -> None:
        if name == b"RegisterSlaveMessage":
            self.agent = Pid.parse(sender.decode())
            self.registered.set()
        elif name == b"ReregisterSlaveMessage":
            # Ten seconds after a registration that took more than one request.
            self._answer(m.SlaveReregisteredMessage())
        elif name == b"StatusUpdateMessage":
            self._acknowledge(m.StatusUpdateMessage.FromString(body).update)

    def _acknowledge(self, update: m.StatusUpdate) -> None:
        self.updates += 1
        ack = m.StatusUpdateAcknowledgementMessage(uuid=update.uuid)
        ack.slave_id.value = "bench-S0"
        ack.framework_id.value = FRAMEWORK_ID
        ack.task_id.value = update.status.task_id.value
        self._tell(b"StatusUpdateAcknowledgementMessage", ack.SerializeToString())
        if update.status.state == TaskState.TASK_FINISHED:
            self._finished += 1
            if self._finished == self._count:
                self.done.set()


class FreeEndpoint:
    """Everything the core orders happens at once."""

    def __init__(self, messenger: Messenger, loop: runtime.Runtime) -> None:
        self._messenger = messenger
        self._loop = loop

    def carry_out(self, order: orders.Order) -> None:
        post = self._loop.post
        match order:
            case orders.Send():
                self._messenger.send(order.to, order.message)
            case orders.Pong():
                self._messenger.pong(order.to)
            case orders.Launch():
                found = Container(order.ref.name, "id", Phase.RUNNING, inspect=INSPECT)
                post(facts.LaunchAdvanced(order.ref, facts.Stage.CREATING))
                post(facts.ContainerStarted(order.ref, found))
                post(facts.ContainerExited(order.ref, 0))
            case orders.Remove():
                post(facts.ContainerRemoved(order.ref))


async def open_journal(directory: Path, hosts: str) -> tuple[runtime.Journal, Snapshot]:
    """In ZooKeeper if there are ``hosts``, else in SQLite."""
    if not hosts:
        sqlite = SqliteJournal(directory / "journal.db")
        return sqlite, sqlite.load()
    holder = Holder("127.0.0.1", 1, "", "machine", str(directory))
    url = ZooKeeperUrl(tuple(hosts.split(",")), f"/bench{directory.name}")
    journal = zookeeper_journal(url, holder, 10.0)
    return journal, await journal.acquire()


async def agent(master: int, directory: Path, hosts: str) -> orders.Exit:
    """The agent as :mod:`shim.agent.main` puts it together, less what talks to Docker."""
    journal, snapshot = await open_journal(directory, hosts)
    listening = bind("127.0.0.1", 0)
    pid = Pid("slave(1)", "127.0.0.1", listening.getsockname()[1])
    info = SlaveInfo(hostname="localhost", port=pid.port, checkpoint=True)
    settings = CoreSettings(pid, info, "1.11.0", registration_backoff=0.01)
    core = Core(settings, runtime.SystemEntropy(), snapshot, runtime.now())
    loop = runtime.Runtime(core, journal)
    messenger = Messenger(pid, None, Links(lambda address: None), loop.post)
    inbox = Inbox(messenger.has_process, messenger.deliver)
    await serve(lambda app: None, inbox, listening)
    loop.post(facts.MasterDetected(Pid("master", "127.0.0.1", master)))
    loop.post(facts.ContainersFound(()))
    gc.set_threshold(*limits.GC_THRESHOLDS)
    return await loop.run(FreeEndpoint(messenger, loop).carry_out)


def _serve_master(count: int) -> None:
    asyncio.run(MasterProcess(count).run())


async def measure(count: int, hosts: str = "", what: str = "SQLite") -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as directory:
        arguments = ["-m", "tests.bench.updates", "--count", str(count), "--master"]
        master = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
        )
        assert master.stdout is not None
        port = int(await master.stdout.readline())
        running = asyncio.create_task(agent(port, Path(directory), hosts))
        reading = asyncio.create_task(master.stdout.readline())
        await asyncio.wait({running, reading}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            master.kill()
            raise SystemExit(f"{what}: the agent ended: {running.result()}")
        took, updates = reading.result().split()
        running.cancel()
        await master.wait()
    rate = 3 * count / float(took)
    again = int(updates) - 3 * count
    print(f"{what}: {3 * count} updates of {count} tasks in {float(took):.1f} s: {rate:.0f}/s")
    print(f"sent again because the acknowledgement took longer than 10 s: {again}")
    print(f"agent memory at the end: {rss_kb(os.getpid()) / 1024:.0f} MB")


def _compare(count: int, rounds: int) -> None:
    """The three journals in turn, each measurement in a process of its own."""
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name,
        Ensemble(Path(name) / "one", tick_ms=2000, memory_mb=512) as one,
        Ensemble(Path(name) / "three", 3, tick_ms=2000, memory_mb=512) as three,
    ):
        journals = {"SQLite": "", "one ZooKeeper": one.hosts, "three ZooKeepers": three.hosts}
        for what, hosts in [*journals.items()] * rounds:
            measuring = multiprocessing.Process(target=_measure, args=(count, hosts, what))
            measuring.start()
            measuring.join()


def _measure(count: int, hosts: str, what: str) -> None:
    asyncio.run(measure(count, hosts, what))


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench updates", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--zookeeper", action="store_true", help="beside a journal in ZooKeeper")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--master", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.master:
        _serve_master(given.count)
    elif given.zookeeper:
        _compare(given.count, given.rounds)
    else:
        asyncio.run(measure(given.count))


if __name__ == "__main__":
    main()
