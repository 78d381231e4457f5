"""Two whole agents that share a journal in a fake ZooKeeper, in front of one fake engine."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shim import limits
from shim.agent import standby, wiring
from shim.agent.journal_lock import Holder, JournalLock
from shim.agent.zookeeper_journal import ZooKeeperJournal
from shim.discovery.sync import ConsulSync
from shim.model.settings import ZooKeeperUrl
from tests.agent.in_process import IMAGE, InProcessAgent, in_process_agent
from tests.dev.master.conftest import Embedded
from tests.dev.master.raw_framework import RawFramework
from tests.discovery.fake_consul import FakeConsul
from tests.e2e.client import task
from tests.fakes.engine import FakeEngine
from tests.fakes.zookeeper import FakeEnsemble, FakeZooKeeper
from tests.support.wait import patience, until


@pytest.fixture
def ensemble(monkeypatch: pytest.MonkeyPatch) -> FakeEnsemble:
    """The agents' journals are in it."""
    made = FakeEnsemble()

    def journal(url: ZooKeeperUrl, holder: Holder, session_timeout: float) -> ZooKeeperJournal:
        def connect(hosts: object, timeout: object, auth: object, on_state: Any) -> FakeZooKeeper:
            return FakeZooKeeper(made, on_state)

        lock = JournalLock(url, holder, session_timeout, connect=connect)
        return ZooKeeperJournal(url, holder, lock)

    monkeypatch.setattr(standby, "zookeeper_journal", journal)
    return made


@pytest.fixture
async def consul() -> AsyncIterator[FakeConsul]:
    made = FakeConsul()
    await made.start()
    yield made
    await made.stop()


@asynccontextmanager
async def machine(
    number: int, master: str, engine: FakeEngine, directory: Path, consul: FakeConsul
) -> AsyncIterator[InProcessAgent]:
    async with in_process_agent(
        master,
        engine,
        directory / f"machine{number}",
        registered=False,
        journal="zk://z:2181/mesos/shim",
        zk_session_timeout="1secs",
        consul=f"http://127.0.0.1:{consul.port}",
    ) as agent:
        yield agent


CHECK = {
    "type": "COMMAND",
    "command": {"shell": False, "value": "echo", "arguments": ["echo"]},
    "interval_seconds": 0.05,
    "delay_seconds": 0,
    "grace_period_seconds": 0,
}


async def launch(framework: RawFramework, consul: FakeConsul) -> None:
    """A task with a name in Consul, and the agent's own service, both healthy."""
    labels = {"labels": [{"key": "consul", "value": "web"}]}
    port = {"ports": [{"number": 80, "protocol": "tcp", "name": "http"}]}
    info = task("web", image=IMAGE, health_check=CHECK, labels=labels)
    info["container"]["docker"]["network"] = "HOST"
    info["discovery"] = {"visibility": "CLUSTER", "name": "web", "ports": port}
    operation = {"type": "LAUNCH", "launch": {"task_infos": [info]}}
    assert (await framework.accept(await framework.offer(), operation))[0] == 202
    await framework.reaches("TASK_RUNNING")
    await until(lambda: len(consul.services) == 2 and statuses(consul) == {"passing"})


def statuses(consul: FakeConsul) -> set[str]:
    return {check["Status"] for check in consul.checks.values()}


async def cut_off(ensemble: FakeEnsemble, leader: InProcessAgent, other: InProcessAgent) -> None:
    """The leader cannot reach ZooKeeper until the other one leads; then it ends by itself."""
    session = ensemble.nodes["/mesos/shim/leader"].owner
    (client,) = (each for each in ensemble.clients if each.session == session)
    client.disconnect()
    ensemble.expire(session)
    await until(other.is_registered)
    client.reconnect()
    async with patience():
        assert await leader.running == 1


async def stop(ensemble: FakeEnsemble, leader: InProcessAgent, other: InProcessAgent) -> None:
    """As SIGTERM: the leader gives the lock back."""
    leader.running.cancel()
    await asyncio.wait({leader.running})
    await until(other.is_registered)


async def test_services_in_consul_stay_as_they_are_when_a_standby_takes_over(
    ensemble: FakeEnsemble,
    consul: FakeConsul,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No service is deregistered or registered anew, and no check leaves its state."""
    monkeypatch.setattr(limits, "CONSUL_AGENT_TTL", 9.0)
    monkeypatch.setattr(wiring, "ConsulSync", partial(ConsulSync, interval=0.05))
    engine, numbers = FakeEngine(), itertools.count(1)
    async with (
        Embedded(port=0) as master,
        RawFramework(master.address) as framework,
        AsyncExitStack() as machines,
    ):

        async def start() -> InProcessAgent:
            one = machine(next(numbers), master.address, engine, tmp_path, consul)
            return await machines.enter_async_context(one)

        leader = await start()
        await until(leader.is_registered)
        await launch(framework, consul)
        (key,) = (key for key, each in consul.services.items() if each["Service"] == "web")
        registered, changed = consul.services[key], consul.changed[key]
        failed = consul.failed
        for end in (cut_off, stop):
            follower = await start()
            await end(ensemble, leader, follower)
            seen = consul.reads
            await until(lambda: consul.reads > seen + 6)  # noqa: B023 - ends in the loop
            assert consul.services[key] == registered
            assert consul.changed[key] == changed
            assert len(consul.services) == 2
            assert not consul.writes["maintenance"]
            assert consul.failed == failed
            assert statuses(consul) == {"passing"}
            leader = follower
