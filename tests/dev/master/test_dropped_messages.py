"""Messages that a real master drops with a line in its log are in ``refusals`` here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from tests.dev.master.conftest import Embedded
from tests.dev.master.fake_agent import FakeAgent, scalar
from tests.dev.master.http import get

Change = Callable[[internal.RegisterSlaveMessage], None]


def _old(message: internal.RegisterSlaveMessage) -> None:
    message.version = "0.28.3"


def _no_version(message: internal.RegisterSlaveMessage) -> None:
    message.version = "new"


def _negative(message: internal.RegisterSlaveMessage) -> None:
    message.slave.resources[0].scalar.value = -1


def _domain(message: internal.RegisterSlaveMessage) -> None:
    message.slave.domain.fault_domain.region.name = "r"
    message.slave.domain.fault_domain.zone.name = "z"


def _no_checkpoint(message: internal.RegisterSlaveMessage) -> None:
    message.slave.checkpoint = False
    volume = message.checkpointed_resources.add()
    volume.CopyFrom(scalar("disk", 1))


REGISTRATIONS: dict[str, Change] = {
    "1.0.0 or later: '0.28.3'": _old,
    "1.0.0 or later: 'new'": _no_version,
    "not positive": _negative,
    "domain": _domain,
    "without slave.checkpoint": _no_checkpoint,
}


@pytest.mark.parametrize("word", REGISTRATIONS)
async def test_an_invalid_registration_is_dropped_with_a_reason(master: str, word: str) -> None:
    """A real master is silent as well; only the embedded one shows the reason."""
    async with FakeAgent(master) as agent:
        message = agent.registration()
        REGISTRATIONS[word](message)
        agent.send(message)
        await asyncio.sleep(0.2)
        assert not agent.received
        state = await get(master, "/state")
        for dropped in state.get("refusals", [])[-1:]:
            assert word in dropped["reason"]
            assert dropped["message"] == "RegisterSlaveMessage"
        assert state.get("refusals", True)


ReregistrationChange = Callable[[internal.ReregisterSlaveMessage], None]


def _task(message: internal.ReregisterSlaveMessage) -> mesos.Task:
    task = message.tasks.add(name="t", state=mesos.TASK_STAGING)
    task.task_id.value = "t"
    task.framework_id.value = "f"
    task.slave_id.value = "made-up"
    info = message.frameworks.add(user="u", name="n")
    info.id.value = "f"
    return task


def _bad_task_id(message: internal.ReregisterSlaveMessage) -> None:
    _task(message).task_id.value = "a/b"


def _another_agent(message: internal.ReregisterSlaveMessage) -> None:
    _task(message).slave_id.value = "other"


def _no_framework(message: internal.ReregisterSlaveMessage) -> None:
    _task(message)
    del message.frameworks[:]


def _twice(message: internal.ReregisterSlaveMessage) -> None:
    _task(message)
    message.frameworks.append(message.frameworks[0])


def _role_and_roles(message: internal.ReregisterSlaveMessage) -> None:
    _task(message)
    info = message.frameworks[0]
    info.role = "*"
    info.capabilities.add(type=mesos.FrameworkInfo.Capability.MULTI_ROLE)


def _stray_executor(message: internal.ReregisterSlaveMessage) -> None:
    executor = message.executor_infos.add()
    executor.executor_id.value = "e"
    executor.framework_id.value = "nobody"


REREGISTRATIONS: dict[str, ReregistrationChange] = {
    "not an id": _bad_task_id,
    "slave_id": _another_agent,
    "not in the message": _no_framework,
    "twice": _twice,
    "MULTI_ROLE": _role_and_roles,
    "executor e": _stray_executor,
}


@pytest.mark.parametrize("word", REREGISTRATIONS)
async def test_one_invalid_entry_drops_the_whole_reregistration(master: str, word: str) -> None:
    async with FakeAgent(master) as agent:
        agent.info.id.value = "made-up"
        message = agent.reregistration()
        REREGISTRATIONS[word](message)
        agent.send(message)
        await asyncio.sleep(0.2)
        assert not agent.received
        state = await get(master, "/state")
        assert word in state.get("refusals", [{"reason": word}])[-1]["reason"]
        await agent.reregister()


async def test_an_undecodable_message_is_dropped() -> None:
    async with Embedded(port=0) as master, FakeAgent(master.address) as agent:
        half = internal.RegisterSlaveMessage()
        agent.links.send(agent.master, agent.pid, half.DESCRIPTOR.full_name, b"\xff\xff")
        agent.links.send(agent.master, agent.pid, "mesos.internal.Nonsense", b"")
        await agent.register()
        names = [dropped.message for dropped in master.state.dropped]
        assert names == ["mesos.internal.RegisterSlaveMessage", "mesos.internal.Nonsense"]


async def test_updates_of_unknown_agents_and_frameworks_are_dropped(master: str) -> None:
    async with FakeAgent(master) as agent:
        await agent.register()
        run = internal.RunTaskMessage()
        run.task.task_id.value = "t"
        run.framework.id.value = "nobody"
        agent.send(agent.update(run, mesos.TASK_RUNNING))
        agent.info.id.value = "another"
        agent.send(agent.update(run, mesos.TASK_RUNNING))
        agent.send(internal.UnregisterSlaveMessage(slave_id=agent.info.id))
        await asyncio.sleep(0.2)
        state = await get(master, "/state")
        assert len(state.get("refusals", [1, 2, 3])) == 3
        assert len(state["slaves"]) == 1
