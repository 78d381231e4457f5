"""A whole agent in this process: a fake engine below it, and a master as thin as can be."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from shim import cli, limits
from shim.agent.main import _Agent
from shim.check.master_probe import MasterProbe
from shim.config.libprocess import tls_settings
from shim.dev.master.dev_master import DevMaster
from shim.errors import FatalError, Transient
from shim.model.ids import Pid
from shim.model.orders import Exit
from shim.model.settings import StaticMaster
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState
from shim.wire.tls import Tls, client_context
from tests.agent.in_process import IMAGE, InProcessAgent, in_process_agent
from tests.bench.kit import ThinMaster, framework_info
from tests.fakes.engine import FakeEngine
from tests.support.certificates import libprocess_environment
from tests.support.wait import patience, until

Start = Callable[..., AbstractAsyncContextManager[InProcessAgent]]
RUNNING, KILLED = TaskState.TASK_RUNNING, TaskState.TASK_KILLED


class RecordingMaster(ThinMaster):
    """Keeps the names of all messages it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[str] = []

    def _deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        self.received.append(name.rpartition(".")[2])
        super()._deliver(process, sender, name, body)

    def kill(self, task_id: str) -> None:
        message = m.KillTaskMessage()
        message.task_id.value = task_id
        message.framework_id.CopyFrom(framework_info().id)
        self.tell(message)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """What every agent of the test connects to."""
    monkeypatch.setattr(limits, "ENDPOINT_RETRY", 0.01)
    return FakeEngine()


@pytest.fixture
async def master() -> AsyncIterator[RecordingMaster]:
    master = RecordingMaster()
    async with master:
        yield master


@pytest.fixture
def start(engine: FakeEngine, master: RecordingMaster, tmp_path: Path) -> Start:
    def starting(
        environ: Mapping[str, str] | None = None, **changed: Any
    ) -> AbstractAsyncContextManager[InProcessAgent]:
        """An agent that is just starting."""
        given = {"master": master.address, "work_dir": tmp_path, "registered": False, **changed}
        return in_process_agent(engine=engine, environ=environ, **given)

    return starting


async def test_a_waiting_agent_answers_pings_and_says_why_it_waits(
    start: Start, engine: FakeEngine, master: RecordingMaster
) -> None:
    engine.fail("info", Transient("Unauthorized"), times=3)
    answered = engine.hold("info")
    async with start() as agent:
        assert await agent.get("/health") == (200, "")
        for path in ("/state", "/api/v1/executor", "/slave(1)/api/v1/executor"):
            assert await agent.get(path) == (503, "Agent has not finished recovery")
        master.agent = Pid("slave(1)", "127.0.0.1", agent.port)
        master.tell(m.PingSlaveMessage(connected=True))
        await until(lambda: master.received == ["PongSlaveMessage"])
        _, metrics = await agent.get("/metrics")
        assert "mesos_shim_engine_call_seconds" in metrics
        assert "mesos_shim_master_connected" not in metrics
        answered.set()
        await until(agent.is_registered)
        assert (await agent.state())["id"] == master.agent_id
        _, log = await agent.get("/files/read?path=/slave/log&offset=0")
        assert "does not answer: Unauthorized" in log
        assert await agent.end() == 0


async def test_an_agent_that_lost_the_lead_ends_with_one_line_whatever_its_work_met(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = _Agent.__new__(_Agent)
    agent._stop = asyncio.Event()
    lost = asyncio.get_running_loop().create_future()
    agent._standby = SimpleNamespace(lost=lost)  # type: ignore[assignment]

    async def work() -> Exit:
        lost.set_result("another agent leads")
        raise ExceptionGroup("unhandled errors", [FatalError("another agent leads")])

    assert await agent._until_stopped(work()) == Exit(1, "another agent leads")
    gc.collect()
    assert caplog.text == "", "the error was not left to the event loop"


def test_a_starting_leader_says_that_zookeeper_is_away_as_well() -> None:
    agent = _Agent.__new__(_Agent)
    agent._standby = SimpleNamespace(problems=lambda: ["no quorum"])  # type: ignore[assignment]
    waiting = SimpleNamespace(problems=lambda: ["no endpoint"])
    agent._endpoint_wait = waiting  # type: ignore[assignment]
    assert agent._waits_for() == ["no quorum", "no endpoint"]


async def test_a_task_from_launch_to_kill_is_shown_and_counted(
    start: Start, engine: FakeEngine, master: RecordingMaster
) -> None:
    async with start() as agent:
        await until(master.registered.is_set)
        master.launch("a", IMAGE)
        await until(lambda: ("a", RUNNING) in master.seen)
        ((executor,),) = [f["executors"] for f in (await agent.state())["frameworks"]]
        assert executor["tasks"][0]["state"] == "TASK_RUNNING"
        master.kill("a")
        await until(lambda: ("a", KILLED) in master.seen and not engine.boxes)
        _, metrics = await agent.get("/metrics")
        for line in (
            "launches_total 1.0",
            "kills_total 1.0",
            'launch_seconds_count{stage="total"} 1.0',
            'tasks_ended_total{state="TASK_KILLED"} 1.0',
            'messages_total{status="202"} ',
        ):
            assert f"mesos_shim_{line}" in metrics, line
        assert await agent.end() == 0


async def test_tasks_and_agent_id_outlast_a_restart(
    start: Start, engine: FakeEngine, master: RecordingMaster
) -> None:
    async with start() as agent:
        await until(master.registered.is_set)
        master.launch("a", IMAGE)
        await until(lambda: ("a", RUNNING) in master.seen)
        before = master.agent_id
        assert await agent.end() == 0
    assert len(engine.boxes) == 1
    master.registered.clear()
    async with start() as agent:
        await until(master.registered.is_set)
        assert (master.reported, master.agent_id) == (1, before)
        assert (await agent.state())["id"] == before
        assert await agent.end() == 0


async def test_a_drained_agent_kills_its_tasks_and_unregisters(
    start: Start, engine: FakeEngine, master: RecordingMaster
) -> None:
    async with start() as agent:
        await until(master.registered.is_set)
        master.launch("a", IMAGE)
        await until(lambda: ("a", RUNNING) in master.seen)
        assert await agent.end(signal.SIGUSR1) == 0
    assert ("a", KILLED) in master.seen
    assert not engine.boxes
    await until(lambda: "UnregisterSlaveMessage" in master.received)


async def ended(agent: InProcessAgent) -> int:
    async with patience():
        return await agent.running


async def test_under_another_hostname_it_waits_until_the_master_has_forgotten_it(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The thin master has no ``/slaves``: it never says that it has forgotten the agent."""
    async with start() as agent:
        await until(agent.is_registered)
        await agent.end()
    async with start(hostname="other") as agent:
        expected = "--hostname=other: agent"
        await until(lambda: expected in caplog.text and "cannot find out" in caplog.text)
        assert not await agent.is_registered()


async def test_a_port_in_use_is_refused(start: Start, tmp_path: Path) -> None:
    async with start() as first:
        assert (await first.get("/version"))[0] == 200
        async with start(port=first.port, work_dir=tmp_path / "second") as second:
            with pytest.raises(FatalError, match="cannot listen there: Address already in use"):
                await ended(second)


async def send_forged(
    agent: InProcessAgent, master: RecordingMaster, message: m.SlaveRegisteredMessage
) -> int:
    """Post a message whose sender is the master's pid, from another address. The status."""
    url = f"http://127.0.0.1:{agent.port}/slave(1)/{message.DESCRIPTOR.full_name}"
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(
            url,
            data=message.SerializeToString(),
            headers={"Libprocess-From": f"master@{master.address}"},
        ) as answer,
    ):
        return answer.status


async def test_a_forged_registration_does_not_end_the_agent(
    start: Start, engine: FakeEngine, master: RecordingMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REREGISTER_DELAY", 0.1)
    async with start() as agent:
        await until(master.registered.is_set)
        master.launch("a", IMAGE)
        await until(lambda: ("a", RUNNING) in master.seen)
        message = m.SlaveRegisteredMessage()
        message.slave_id.value = "another-S9"
        master.registered.clear()
        assert await send_forged(agent, master, message) == 202
        await until(master.registered.is_set)
        assert "ReregisterSlaveMessage" in master.received
        assert (await agent.state())["id"] == master.agent_id
        _, metrics = await agent.get("/metrics")
        assert 'oddities_total{what="wrong_agent_ids"} 1.0' in metrics
        assert engine.boxes
        assert await agent.end() == 0


async def test_with_the_libprocess_variable_a_forged_sender_is_rejected(
    start: Start, master: RecordingMaster
) -> None:
    async with start(environ={"LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH": "true"}) as agent:
        await until(master.registered.is_set)
        message = m.SlaveRegisteredMessage()
        message.slave_id.value = "another-S9"
        assert await send_forged(agent, master, message) == 400
        _, metrics = await agent.get("/metrics")
        assert "wrong_agent_ids" not in metrics
        assert 'messages_total{status="400"} 1.0' in metrics
        assert await agent.end() == 0


async def test_agent_and_master_talk_over_tls_and_prove_themselves(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = libprocess_environment(tmp_path)
    settings = tls_settings(environ)
    assert settings is not None
    async with (
        DevMaster("127.0.0.1", 0, tls=Tls(settings)) as master,
        start(environ=environ, master=master.address) as agent,
    ):
        await until(lambda: bool(master.state.agents))
        probe = MasterProbe(StaticMaster("127.0.0.1", master.port), settings)
        await probe.detect()
        assert (await probe.ask()).startswith(f"{master.url}: Mesos ")
        async with (
            aiohttp.ClientSession() as web,
            web.get(master.url, ssl=client_context(settings)) as answer,
        ):
            assert answer.url.port == agent.port, "the page of its only agent"
            assert "<title>mesos-shim</title>" in await answer.text()
        assert "TASK_RUNNING" in await run_one_task(master.address, environ)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert await asyncio.to_thread(cli.main, ["ps", f"--agent=127.0.0.1:{agent.port}"]) == 0
        assert await agent.end() == 0


async def run_one_task(master: str, environ: Mapping[str, str]) -> str:
    """What ``mesos-shim run`` prints until its task runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shim", "run", f"--master={master}", f"--image={IMAGE}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environ},
    )
    assert process.stdout is not None
    printed = ""
    async with patience():
        while "TASK_RUNNING" not in printed and (line := await process.stdout.readline()):
            printed += line.decode()
        process.send_signal(signal.SIGINT)
        await process.communicate()
    return printed
