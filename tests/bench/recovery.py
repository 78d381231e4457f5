"""From the start of the process to "re-registered", with 10,000 tasks in the journal.

The agent is the real one, in a process of its own. Its endpoint lists 10,000 running containers
at once; its master answers at once. Printed are the seconds until the master has answered the
re-registration, what they went to, and the longest time the agent's loop did nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from shim import cli
from shim.agent import runtime
from shim.agent.journal import SqliteJournal
from shim.agent.messenger import Messenger
from shim.agent.runtime import Runtime
from shim.core.agent import Core
from shim.core.context import CoreSettings
from shim.model import facts, orders
from shim.model.container import (
    LABEL_CONTAINER,
    LABEL_FRAMEWORK,
    LABEL_SHIM,
    LABEL_TASK,
    Container,
    Phase,
)
from shim.model.ids import Pid
from shim.model.records import Snapshot
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import SlaveInfo
from tests.bench.kit import ThinMaster, rss_kb, run_task
from tests.e2e.agents import AgentProcess, ExecutedAgent
from tests.support.ports import free_port

SHIM_ID = "bench-recovery"
SAMPLE = 0.002
"""Seconds between two looks at the loop."""
TOLD = "recovery: "


# --- the agent's earlier life -----------------------------------------------------------------


def earlier_life(master: ThinMaster, port: int, count: int) -> tuple[list[Any], list[Any]]:
    """The records of an agent with ``count`` running tasks, and the labels of their containers."""
    info = SlaveInfo(hostname="localhost", port=port, checkpoint=True)
    settings = CoreSettings(Pid("slave(1)", "127.0.0.1", port), info, "1.11.0")
    core = Core(settings, runtime.SystemEntropy(), Snapshot(), runtime.now())
    records: list[Any] = []

    def happened(fact: facts.Fact) -> list[orders.Order]:
        decision = core.handle(fact, runtime.now())
        records.extend(decision.records)
        return decision.orders

    def said(message: Any) -> list[orders.Order]:
        return happened(facts.MessageReceived(master.pid, message))

    happened(facts.MasterDetected(master.pid))
    happened(facts.ContainersFound(()))
    time.sleep(max(0.0, (core.deadline() or 0.0) - time.monotonic()))
    happened(facts.DeadlinePassed())  # The registration is sent.
    registered = m.SlaveRegisteredMessage()
    registered.slave_id.value = master.agent_id
    said(registered)
    for number in range(count):
        launch = run_task(master.agent_id, f"task-{number}", "registry/image:1.2.3", "run me")
        for name in range(10):
            launch.task.command.environment.variables.add(name=f"VARIABLE_{name}", value="x" * 30)
        for order in said(launch):
            if isinstance(order, orders.Launch):
                started = Container(order.ref.name, "id", Phase.RUNNING, inspect=b"[{}]")
                happened(facts.LaunchAdvanced(order.ref, facts.Stage.CREATING))
                happened(facts.ContainerStarted(order.ref, started))
        for _ in range(2):
            key = next(reversed(core.tasks.table))
            said(_acknowledgement(core, key, master.agent_id))
    labels = [
        {
            LABEL_SHIM: SHIM_ID,
            LABEL_FRAMEWORK: key.framework_id,
            LABEL_TASK: key.task_id,
            LABEL_CONTAINER: task.ref.container_id,
        }
        for key, task in core.tasks.table.items()
    ]
    return records, labels


def _acknowledgement(core: Core, key: Any, agent_id: str) -> Any:
    """Of the update that is under way."""
    head = core.status_updates._streams[key].queue[0].update
    message = m.StatusUpdateAcknowledgementMessage(uuid=head.uuid)
    message.slave_id.value = agent_id
    message.framework_id.value = key.framework_id
    message.task_id.value = key.task_id
    return message


# --- the endpoint -----------------------------------------------------------------------------


class Endpoint:
    """A Docker socket that has every container of the journal, and all of them run."""

    def __init__(self, labels: list[dict[str, str]]) -> None:
        self._inspects = {
            f"mesos-{entry[LABEL_CONTAINER]}": json.dumps(
                {
                    "Id": entry[LABEL_CONTAINER],
                    "Name": f"/mesos-{entry[LABEL_CONTAINER]}",
                    "State": {"Status": "running", "Running": True},
                    "Config": {"Labels": entry, "Env": ["VARIABLE=" + "x" * 100] * 60},
                    "NetworkSettings": {"Networks": {}},
                }
            ).encode()
            for entry in labels
        }
        self._list = json.dumps(
            [
                {
                    "Id": entry[LABEL_CONTAINER],
                    "Names": [f"/mesos-{entry[LABEL_CONTAINER]}"],
                    "State": "running",
                    "Status": "Up 3 days",
                    "Labels": entry,
                    "Image": "registry/image:1.2.3",
                    "Command": "/bin/sh -c 'run me'",
                    "Mounts": [],
                    "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
                }
                for entry in labels
            ]
        ).encode()

    async def serve(self, path: Path) -> None:
        app = web.Application()
        route = app.router.add_get
        route("/version", self._version)
        route("/{api}/info", self._info)
        route("/{api}/containers/json", self._listed)
        route("/{api}/volumes", self._volumes)
        route("/{api}/containers/{name}/json", self._inspect)
        route("/{api}/events", self._events)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"Version": "1", "ApiVersion": "1.41"})

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response({"Name": "bench", "NCPU": 1000, "MemTotal": 2**45})

    async def _listed(self, request: web.Request) -> web.Response:
        return web.Response(body=self._list, content_type="application/json")

    async def _volumes(self, request: web.Request) -> web.Response:
        return web.json_response({"Volumes": []})

    async def _inspect(self, request: web.Request) -> web.Response:
        body = self._inspects[request.match_info["name"]]
        return web.Response(body=body, content_type="application/json")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(3600)
        return response


def _serve(labels: Path, socket: Path) -> None:
    endpoint = Endpoint(json.loads(labels.read_text()))

    async def run() -> None:
        await endpoint.serve(socket)
        print("ready", flush=True)
        await asyncio.sleep(3600)

    asyncio.run(run())


# --- the agent --------------------------------------------------------------------------------


class Watched(ExecutedAgent):
    """The agent with a clock beside it."""

    program = ("tests.bench.recovery", "--agent")


def _run_agent(argv: list[str]) -> int:
    """``mesos-shim agent``, which tells when things happen and how long its loop was busy."""
    busy: list[tuple[float, float]] = []

    def tell(what: str) -> None:
        text = f"{TOLD}{time.time():.4f} {what} ({time.process_time():.2f} s of CPU)"
        print(text, file=sys.stderr, flush=True)

    async def sample() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(SAMPLE)
            late = time.monotonic() - before - SAMPLE
            if late > 0.02:
                busy.append((time.time(), late))

    def worst(since: float = 0.0, until: float = math.inf) -> float:
        return max((late for at, late in busy if since <= at <= until + SAMPLE), default=0.0)

    post, encode, queue = Runtime.post, Messenger._encode, Messenger._queue
    sampling: list[asyncio.Task[None]] = []
    encoding: list[float] = []

    def posted(self: Runtime, fact: facts.Fact) -> None:
        if not sampling:
            sampling.append(asyncio.create_task(sample()))
            tell("journal read")
        if isinstance(fact, facts.ContainersFound):
            tell("containers looked at")
        post(self, fact)

    def encoded(self: Messenger, message: Any) -> bytes | None:
        if isinstance(message, m.ReregisterSlaveMessage):
            encoding.append(time.time())
        return encode(self, message)

    def queued(self: Messenger, to: Pid, message: Any, body: bytes | None) -> None:
        queue(self, to, message, body)
        if isinstance(message, m.ReregisterSlaveMessage):
            encoding.append(time.time())
            tell(f"encoded {len(body or b'')} bytes")
            asyncio.get_running_loop().call_later(
                1.0,
                lambda: tell(
                    f"busy {worst(encoding[0], encoding[1]) * 1000:.0f} ms while encoding, "
                    f"{worst() * 1000:.0f} ms at worst"
                ),
            )

    Runtime.post, Messenger._encode, Messenger._queue = (  # type: ignore[method-assign]
        posted,
        encoded,
        queued,
    )
    tell("imported")
    return cli.main(argv)


# --- the measurement --------------------------------------------------------------------------


async def measure(count: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        directory = Path(name)
        async with ThinMaster() as master:
            agent = Watched(
                master.address,
                directory / "agent",
                SHIM_ID,
                "--hostname=localhost",
                "--engine=docker",
                "--registration_backoff_factor=200ms",
                DOCKER_HOST=f"unix://{directory / 'docker.sock'}",
            )
            agent.port = free_port()
            (directory / "agent").mkdir()
            records, labels = earlier_life(master, agent.port, count)
            journal = SqliteJournal(directory / "agent" / "journal.db")
            await journal.commit(records)
            journal.close()
            async with serving(directory, labels):
                for _ in range(rounds):
                    await _once(agent, master, count)


@asynccontextmanager
async def serving(directory: Path, labels: list[Any]) -> AsyncIterator[None]:
    """The endpoint in a process of its own, at ``docker.sock``."""
    (directory / "labels.json").write_text(json.dumps(labels))
    arguments = ["-m", "tests.bench.recovery", "--endpoint", str(directory)]
    endpoint = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert endpoint.stdout is not None
    await endpoint.stdout.readline()
    try:
        yield
    finally:
        endpoint.kill()
        await endpoint.wait()


async def _once(agent: AgentProcess, master: ThinMaster, count: int) -> None:
    master.registered.clear()
    began = time.time()
    await agent.start()
    await asyncio.wait_for(master.registered.wait(), 120)
    took = time.time() - began
    await asyncio.sleep(2)
    lines = [line for line in agent.log.splitlines() if line.startswith(TOLD)]
    steps = []
    for line in lines[-5:]:
        at, _, what = line.removeprefix(TOLD).partition(" ")
        steps.append(what if what.startswith("busy") else f"{what} after {float(at) - began:.2f} s")
    print(f"{count} tasks: re-registered {took:.2f} s after the start of the process")
    print(f"  {'; '.join(steps)}; {rss_kb(agent.pid) / 1024:.0f} MB", flush=True)
    assert master.reported == count, f"{master.reported} tasks were reported"
    await agent.end(signal.SIGTERM)


def main() -> None:
    if sys.argv[1:2] == ["--agent"]:
        sys.exit(_run_agent(sys.argv[2:]))
    if sys.argv[1:2] == ["--endpoint"]:
        directory = Path(sys.argv[2])
        _serve(directory / "labels.json", directory / "docker.sock")
        return
    parser = argparse.ArgumentParser(prog="scripts/bench recovery", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(measure(given.count, given.rounds))


if __name__ == "__main__":
    main()
