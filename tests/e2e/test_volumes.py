"""Persistent volumes on the real engine, with an unmodified framework that keeps data in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.e2e.client import Framework, Json
from tests.e2e.conftest import System
from tests.e2e.volumes import (
    ROLE,
    create,
    destroy,
    disk,
    launch,
    remove_volumes,
    reserve,
    task_with,
    unreserve,
    volume,
    volumes_of,
)
from tests.support.wait import until

pytestmark = pytest.mark.needs_docker


@pytest.fixture
async def stateful(system: System) -> AsyncIterator[System]:
    """A system that leaves no volume behind."""
    yield system
    await asyncio.to_thread(system.remove_containers)
    await asyncio.to_thread(remove_volumes, system)


def framework_of(system: System) -> Framework:
    return system.framework(roles=[ROLE], principal=None)


async def operation(framework: Framework, name: str) -> Json:
    """The status of the framework's operation, once it comes."""
    event = await framework.until(
        lambda e: (
            e["event"] == "operation" and e["status"].get("operation_id", {}).get("value") == name
        )
    )
    status: Json = event["status"]
    return status


def disks(event: Json) -> list[Json]:
    resources = [each for offer in event["offers"] for each in offer["resources"]]
    return [each for each in resources if each["name"] == "disk"]


def reserved_disk(event: Json) -> float:
    """The reserved disk of the offers of an event."""
    return float(
        sum(
            resource["scalar"]["value"]
            for resource in disks(event)
            if resource.get("reservations") or resource["role"] == ROLE
        )
    )


def total_disk(event: Json) -> float:
    return float(sum(resource["scalar"]["value"] for resource in disks(event)))


async def everything(framework: Framework) -> Json:
    """An offer of all that the agent has: offers that the framework holds are given back."""
    while True:
        after = len(framework.events)
        await framework.do("decline", refuse_seconds=0)
        event = await framework.until(lambda e: e["event"] == "offers", after=after)
        if total_disk(event) == 1000:
            return event


async def finishes(framework: Framework, *operations: Json, task: str) -> None:
    await framework.accept(*operations)
    status = await framework.end(task)
    assert status["state"] == "TASK_FINISHED", status.get("message")


async def test_data_outlives_task_and_agent_and_ends_with_destroy(stateful: System) -> None:
    system = stateful
    agent = await system.agent("--resources=cpus:4;mem:1024;disk:1000")
    async with framework_of(system) as framework:
        first = await framework.until(lambda e: e["event"] == "offers")
        assert (total_disk(first), reserved_disk(first)) == (1000, 0)
        write = task_with(system, "write", "echo kept > $MESOS_SANDBOX/data/file", volume("v1", 64))
        await finishes(
            framework,
            reserve(disk(64), id={"value": "reserve"}),
            create(volume("v1", 64), id={"value": "create"}),
            launch(write),
            task="write",
        )
        for name in ("reserve", "create"):
            assert (await operation(framework, name))["state"] == "OPERATION_FINISHED"
        (made,) = await asyncio.to_thread(volumes_of, system)
        assert made.attrs["Labels"] == {
            "mesos-shim.id": system.shim_id,
            "org.apache.mesos.role": ROLE,
            "org.apache.mesos.persistence_id": "v1",
        }
        assert made.name == made.name.lower()
        assert len(made.name) <= 63

        await agent.kill()
        await agent.start()
        await agent.logged("re-registered with")
        read = task_with(
            system,
            "read",
            "test $(cat /db/file) = kept && ! touch /db/new",
            volume("v1", 64, "/db", "RO"),
        )
        await finishes(framework, launch(read), task="read")
        assert reserved_disk(await everything(framework)) == 64

        await framework.accept(
            destroy(volume("v1", 64), id={"value": "destroy"}),
            unreserve(disk(64), id={"value": "unreserve"}),
        )
        for name in ("destroy", "unreserve"):
            assert (await operation(framework, name))["state"] == "OPERATION_FINISHED"

        async def gone() -> bool:
            return not await asyncio.to_thread(volumes_of, system)

        await until(gone, "the removal of the volume")
        empty = task_with(
            system, "empty", 'test -z "$(ls -A $MESOS_SANDBOX/data)"', volume("v1", 64)
        )
        await finishes(
            framework, reserve(disk(64)), create(volume("v1", 64)), launch(empty), task="empty"
        )
        await everything(framework)
        await framework.accept(destroy(volume("v1", 64)), unreserve(disk(64)))
        await until(gone, "the removal of the second volume")
        assert reserved_disk(await everything(framework)) == 0


async def test_what_no_record_knows_is_kept_and_named(stateful: System) -> None:
    """The work_dir is lost: the data stays, and the log says how to remove it."""
    system = stateful
    agent = await system.agent("--resources=cpus:4;mem:1024;disk:1000")
    async with framework_of(system) as framework:
        write = task_with(system, "w", "echo kept > $MESOS_SANDBOX/data/f", volume("v", 64))
        await finishes(
            framework, reserve(disk(64)), create(volume("v", 64)), launch(write), task="w"
        )
        (made,) = await asyncio.to_thread(volumes_of, system)
        await framework.stop()
    await agent.kill()
    await system.no_containers()
    for path in (system.directory / "agent0").iterdir():
        if path.name.startswith("journal"):
            path.unlink()
    agent.forget_log()
    await agent.start()
    await agent.logged(f"docker volume rm {made.name}")
    assert [each.name for each in await asyncio.to_thread(volumes_of, system)] == [made.name]
