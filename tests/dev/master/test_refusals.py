"""What a master drops with no more than a line in its log is in ``refusals`` here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from tests.dev.master.conftest import Embedded
from tests.dev.master.fake_agent import FakeAgent, scalar
from tests.dev.master.pages import get

Spoil = Callable[[internal.RegisterSlaveMessage], None]


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


REGISTRATIONS: dict[str, Spoil] = {
    "older than 1.0.0": _old,
    "1.2.3": _no_version,
    "not positive": _negative,
    "domain": _domain,
    "without slave.checkpoint": _no_checkpoint,
}


@pytest.mark.parametrize("word", REGISTRATIONS)
async def test_a_registration_without_an_answer_has_a_reason(master: str, word: str) -> None:
    """Silence is the same with a real master; only the embedded one tells why."""
    async with FakeAgent(master) as agent:
        message = agent.registration()
        REGISTRATIONS[word](message)
        agent.send(message)
        await asyncio.sleep(0.2)
        assert not agent.received
        state = await get(master, "/state")
        for refusal in state.get("refusals", [])[-1:]:
            assert word in refusal["reason"]
            assert refusal["message"] == "RegisterSlaveMessage"
        assert state.get("refusals", True)


Change = Callable[[internal.ReregisterSlaveMessage], None]


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


REREGISTRATIONS: dict[str, Change] = {
    "is no id": _bad_task_id,
    "slave_id": _another_agent,
    "not in the message": _no_framework,
    "twice": _twice,
    "MULTI_ROLE": _role_and_roles,
    "executor e": _stray_executor,
}


@pytest.mark.parametrize("word", REREGISTRATIONS)
async def test_one_bad_entry_drops_the_whole_message(master: str, word: str) -> None:
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


async def test_what_cannot_be_parsed_is_refused() -> None:
    async with Embedded(port=0) as master, FakeAgent(master.address) as agent:
        half = internal.RegisterSlaveMessage()
        agent.links.send(agent.master, agent.pid, half.DESCRIPTOR.full_name, b"\xff\xff")
        agent.links.send(agent.master, agent.pid, "mesos.internal.Nonsense", b"")
        await agent.register()
        names = [refusal.message for refusal in master.world.refusals]
        assert names == ["mesos.internal.RegisterSlaveMessage", "mesos.internal.Nonsense"]


async def test_updates_of_nobody_are_refused(master: str) -> None:
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
