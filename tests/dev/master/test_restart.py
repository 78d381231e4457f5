"""Restarts of the master, with and without its registry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shim.dev.master.dev_master import DevMaster
from shim.errors import FatalError
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from tests.dev.master.conftest import Embedded, RealMaster
from tests.dev.master.fake_agent import FakeAgent, task_of
from tests.dev.master.http import get, post
from tests.e2e.client import Framework, task

Lives = Callable[[], Embedded] | Callable[[], RealMaster]


async def test_the_agent_reregisters_with_its_id_and_tasks(restarts: Lives) -> None:
    async with AsyncExitStack() as stack:
        async with restarts() as master:
            agent = await stack.enter_async_context(FakeAgent(master.address))
            framework = await stack.enter_async_context(Framework(master.address))
            await agent.register()
            await framework.launch(task("one"))
            run = await agent.next(internal.RunTaskMessage)
            await agent.report(run, mesos.TASK_RUNNING)
        async with restarts() as master:
            recovered = (await get(master.address, "/slaves"))["recovered_slaves"]
            assert [slave["id"] for slave in recovered] == [agent.info.id.value]
            await _come_back(agent, framework, run)


async def _come_back(agent: FakeAgent, framework: Framework, run: internal.RunTaskMessage) -> None:
    await agent.lose_master()
    answer = await agent.reregister(task_of(run, mesos.TASK_RUNNING), frameworks=(run.framework,))
    assert answer.slave_id == agent.info.id
    assert not answer.reconciliations
    await framework.until(lambda e: e["event"] == "reregistered")
    assert framework.framework_id == run.framework.id.value
    await agent.next(internal.UpdateFrameworkMessage)
    await framework.do("reconcile", tasks=[])
    status = await framework.until(
        lambda e: e["event"] == "update" and e["status"].get("reason") == "REASON_RECONCILIATION"
    )
    assert status["status"]["state"] == "TASK_RUNNING"
    await agent.report(run, mesos.TASK_FINISHED)
    await framework.stop()
    await agent.next(internal.ShutdownFrameworkMessage)


async def test_a_framework_is_recovered_from_its_agent(restarts: Lives) -> None:
    async with AsyncExitStack() as stack:
        async with restarts() as master:
            agent = await stack.enter_async_context(FakeAgent(master.address))
            await agent.register()
            async with Framework(master.address) as framework:
                await framework.launch(task("one"))
                run = await agent.next(internal.RunTaskMessage)
                await agent.report(run, mesos.TASK_RUNNING)
                await framework.stop(failover=True)
        async with restarts() as master:
            await agent.lose_master()
            await agent.reregister(task_of(run, mesos.TASK_RUNNING), frameworks=(run.framework,))
            agent.send(agent.update(run, mesos.TASK_FINISHED))
            await asyncio.sleep(0.3)
            assert not agent.unread
            (known,) = (await get(master.address, "/frameworks"))["frameworks"]
            assert (known["id"], known["active"]) == (run.framework.id.value, False)
            assert [t["state"] for t in known["tasks"]] == ["TASK_FINISHED"]
            async with Framework(master.address, id={"value": run.framework.id.value}):
                await agent.next(internal.UpdateFrameworkMessage)
                await agent.report(run, mesos.TASK_FINISHED)


async def test_gone_agents_survive_a_restart_of_the_master(restarts: Lives) -> None:
    async with restarts() as master, FakeAgent(master.address) as agent:
        agent_id = await agent.register()
        body = {"agent_id": {"value": agent_id}}
        await post(master.address, {"type": "MARK_AGENT_GONE", "mark_agent_gone": body})
        info = agent.info
    async with restarts() as master, FakeAgent(master.address) as agent:
        agent.info = info
        agent.send(agent.reregistration())
        await agent.next(internal.ShutdownMessage)


async def test_draining_survives_a_restart_of_the_master(restarts: Lives) -> None:
    async with restarts() as master, FakeAgent(master.address) as agent:
        agent_id = await agent.register()
        body = {"agent_id": {"value": agent_id}, "mark_gone": False}
        await post(master.address, {"type": "DRAIN_AGENT", "drain_agent": body})
        await agent.next(internal.DrainSlaveMessage)
        info = agent.info
    async with restarts() as master, FakeAgent(master.address) as agent:
        agent.info = info
        agent.send(agent.reregistration())
        await agent.next(internal.DrainSlaveMessage)
        await agent.next(internal.SlaveReregisteredMessage)


async def test_a_recovered_agent_that_does_not_reregister_becomes_unreachable(
    tmp_path: Path,
) -> None:
    path = tmp_path / "registry.json"
    async with DevMaster(port=0, registry_path=path) as master, FakeAgent(master.address) as agent:
        agent_id = await agent.register()
    async with DevMaster(port=0, registry_path=path, agent_reregister_timeout=0.1) as master:
        while master.state.recovered:
            await asyncio.sleep(0.05)
        assert list(master.state.registry.unreachable) == [agent_id]


async def test_an_unreadable_registry_is_an_error_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    path.write_text("{")
    with pytest.raises(FatalError, match=str(path)):
        await DevMaster(port=0, registry_path=path).start()
