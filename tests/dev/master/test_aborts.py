"""Messages that abort a real master (a failed CHECK) make the embedded one stop serving.

With MESOS_MASTER_BIN set a real master gets the same messages and has to abort, which proves the
list. The agent never sends such a message: its encoder rejects all of them, see shim/wire/safety.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from shim.dev.master.dev_master import DevMaster
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from tests.dev.master.conftest import REAL, RealMaster
from tests.dev.master.fake_agent import SIMPLE, STOCK, FakeAgent, scalar, task_of
from tests.e2e.client import Framework, task
from tests.support.wait import patience

Act = Callable[[FakeAgent, Framework], Awaitable[None]]
ACTS: dict[str, Act] = {}


def act(function: Act) -> Act:
    ACTS[function.__name__] = function
    return function


async def _running(agent: FakeAgent, framework: Framework) -> internal.RunTaskMessage:
    await agent.register()
    await framework.launch(task("one"))
    return await agent.next(internal.RunTaskMessage)


async def _updated(agent: FakeAgent, framework: Framework) -> internal.StatusUpdateMessage:
    return agent.update(await _running(agent, framework), mesos.TASK_RUNNING)


@act
async def status_update_without_pid(agent: FakeAgent, framework: Framework) -> None:
    message = await _updated(agent, framework)
    message.ClearField("pid")
    agent.send(message)


@act
async def status_update_with_a_pid_that_is_none(agent: FakeAgent, framework: Framework) -> None:
    message = await _updated(agent, framework)
    message.pid = "nobody"
    agent.send(message)


@act
async def status_update_without_status_uuid(agent: FakeAgent, framework: Framework) -> None:
    message = await _updated(agent, framework)
    message.update.status.ClearField("uuid")
    agent.send(message)


@act
async def terminal_update_whose_status_uuid_is_none(agent: FakeAgent, framework: Framework) -> None:
    await framework.do("acknowledging", on=False)
    message = agent.update(await _running(agent, framework), mesos.TASK_FINISHED)
    message.update.status.uuid = b"not a uuid"
    agent.send(message)
    status = await framework.end("one")
    await framework.do("acknowledge", status={**status, "uuid": "AAAAAAAAQACAAAAAAAAAAA=="})


@act
async def reregistration_without_an_id(agent: FakeAgent, framework: Framework) -> None:
    agent.send(agent.reregistration())


@act
async def a_task_twice(agent: FakeAgent, framework: Framework) -> None:
    run = await _elsewhere(agent, framework)
    one = task_of(run, mesos.TASK_RUNNING)
    agent.send(agent.reregistration(one, one, frameworks=(run.framework,)))


async def _elsewhere(agent: FakeAgent, framework: Framework) -> internal.RunTaskMessage:
    """A task of an agent that the master does not know."""
    await framework.until(lambda e: e["event"] == "registered")
    agent.info.id.value = "made-up"
    run = internal.RunTaskMessage()
    run.framework.user, run.framework.name = "root", "e2e"
    run.framework.id.value = framework.framework_id
    run.framework.roles.append("*")
    run.framework.capabilities.add(type=mesos.FrameworkInfo.Capability.MULTI_ROLE)
    run.task.name = "one"
    run.task.task_id.value = "one"
    run.task.slave_id.value = "made-up"
    resource = scalar("cpus", 0.1)
    resource.allocation_info.role = "*"
    run.task.resources.append(resource)
    return run


@act
async def a_task_resource_without_allocation(agent: FakeAgent, framework: Framework) -> None:
    run = await _elsewhere(agent, framework)
    run.task.resources[0].ClearField("allocation_info")
    one = task_of(run, mesos.TASK_RUNNING)
    agent.send(agent.reregistration(one, frameworks=(run.framework,)))


@act
async def a_task_that_is_unreachable(agent: FakeAgent, framework: Framework) -> None:
    run = await _elsewhere(agent, framework)
    one = task_of(run, mesos.TASK_UNREACHABLE)
    agent.send(agent.reregistration(one, frameworks=(run.framework,)))


@act
async def a_framework_without_an_id(agent: FakeAgent, framework: Framework) -> None:
    run = await _elsewhere(agent, framework)
    run.framework.ClearField("id")
    agent.send(agent.reregistration(frameworks=(run.framework,)))


def _volume() -> mesos.Resource:
    volume = scalar("disk", 1.0)
    volume.role = "web"
    volume.reservation.principal = "ops"
    return volume


@act
async def checkpointed_resources_that_do_not_fit(agent: FakeAgent, framework: Framework) -> None:
    message = agent.registration()
    message.checkpointed_resources.append(_volume())
    message.checkpointed_resources[0].scalar.value = 1e9
    agent.send(message)


@act
async def checkpointed_resources_that_are_none(agent: FakeAgent, framework: Framework) -> None:
    message = agent.registration()
    message.checkpointed_resources.append(scalar("cpus", 1.0))
    agent.send(message)


@act
async def a_refined_reservation_at_registration(agent: FakeAgent, framework: Framework) -> None:
    agent.capabilities = STOCK
    message = agent.registration()
    for resource in message.slave.resources:
        resource.ClearField("role")
    kinds = mesos.Resource.ReservationInfo
    for role, kind in ("a", kinds.STATIC), ("a/b", kinds.DYNAMIC):
        message.slave.resources[2].reservations.add(role=role, type=kind)
    agent.send(message)


@act
async def a_provider_without_info(agent: FakeAgent, framework: Framework) -> None:
    agent.capabilities = STOCK
    await agent.register()
    message = internal.UpdateSlaveMessage(slave_id=agent.info.id)
    message.update_oversubscribed_resources = False
    provider = message.resource_providers.providers.add()
    provider.operations.SetInParent()
    provider.resource_version_uuid.value = agent.resource_version
    message.resource_version_uuid.value = agent.resource_version
    agent.send(message)


@act
async def an_operation_status_without_an_agent(agent: FakeAgent, framework: Framework) -> None:
    await agent.register()
    message = internal.UpdateOperationStatusMessage()
    message.operation_uuid.value = agent.resource_version
    message.status.state = mesos.OPERATION_FINISHED
    agent.send(message)


@act
async def an_operation_status_without_any_key(agent: FakeAgent, framework: Framework) -> None:
    await agent.register()
    message = internal.UpdateOperationStatusMessage(slave_id=agent.info.id)
    message.status.state = mesos.OPERATION_FINISHED
    agent.send(message)


@act
async def half_a_forwarded_update(agent: FakeAgent, framework: Framework) -> None:
    run = await _elsewhere(agent, framework)
    one = task_of(run, mesos.TASK_RUNNING)
    one.status_update_state = mesos.TASK_RUNNING
    await agent.reregister(one, frameworks=(run.framework,))
    status = {"agent_id": {"value": "made-up"}, "task_id": {"value": "one"}}
    await framework.do("acknowledge", status={**status, "uuid": "AAAAAAAAQACAAAAAAAAAAA=="})


@pytest.mark.parametrize("name", ACTS)
async def test_the_embedded_master_stops_serving(name: str) -> None:
    async with (
        DevMaster(port=0) as master,
        FakeAgent(master.address, capabilities=SIMPLE) as agent,
        Framework(master.address) as framework,
        aiohttp.ClientSession() as session,
    ):
        # The embedded master aborts at the first fatal message; some cases send more.
        acting = asyncio.ensure_future(ACTS[name](agent, framework))
        async with patience():
            while master.state.aborted is None:
                await asyncio.sleep(0.01)
        acting.cancel()
        async with session.get(f"{master.url}/health") as response:
            assert response.status == 500
            assert "abort" in await response.text()
        async with session.get(f"{master.url}/state") as response:
            assert response.status == 503


@pytest.mark.needs_master
@pytest.mark.parametrize("name", ACTS)
async def test_a_real_master_aborts(name: str, tmp_path: Path) -> None:
    assert REAL
    async with (
        RealMaster(REAL, tmp_path, "--registry=in_memory") as master,
        FakeAgent(master.address, capabilities=SIMPLE) as agent,
        Framework(master.address) as framework,
    ):
        await ACTS[name](agent, framework)
        async with patience():
            await master.died()
