"""Persistent volumes on the real engine, with an unmodified framework that keeps data in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shim.check.volumes_probe import volumes as check_volumes
from shim.config import load
from tests.e2e.agents import AgentProcess
from tests.e2e.client import Framework, Json
from tests.e2e.conftest import System
from tests.e2e.pods import group, member, shared_volume
from tests.e2e.tasks import GENTLE
from tests.e2e.volumes import (
    ROLE,
    create,
    destroy,
    disk,
    disks,
    everything,
    launch,
    remove_volumes,
    reserve,
    task_with,
    total_disk,
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


CAPABILITIES = [
    {"type": name}
    for name in ("MULTI_ROLE", "PARTITION_AWARE", "TASK_KILLING_STATE", "SHARED_RESOURCES")
]


def framework_of(system: System) -> Framework:
    return system.framework(roles=[ROLE], principal=None, capabilities=CAPABILITIES)


async def operation(framework: Framework, name: str) -> Json:
    """The status of the framework's operation, once it comes."""
    event = await framework.until(
        lambda e: (
            e["event"] == "operation" and e["status"].get("operation_id", {}).get("value") == name
        )
    )
    status: Json = event["status"]
    return status


def reserved_disk(event: Json) -> float:
    """The reserved disk of the offers of an event."""
    return float(
        sum(
            resource["scalar"]["value"]
            for resource in disks(event)
            if resource.get("reservations") or resource["role"] == ROLE
        )
    )


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
        await everything(framework, 1000)
        await finishes(framework, launch(read), task="read")
        assert reserved_disk(await everything(framework, 1000)) == 64

        await framework.accept(
            destroy(volume("v1", 64), id={"value": "destroy"}),
            unreserve(disk(64), id={"value": "unreserve"}),
        )
        for name in ("destroy", "unreserve"):
            assert (await operation(framework, name))["state"] == "OPERATION_FINISHED"

        async def gone() -> bool:
            return not await asyncio.to_thread(volumes_of, system)

        await until(gone, "the removal of the volume")
        await everything(framework, 1000)
        empty = task_with(
            system, "empty", 'test -z "$(ls -A $MESOS_SANDBOX/data)"', volume("v1", 64)
        )
        await finishes(
            framework, reserve(disk(64)), create(volume("v1", 64)), launch(empty), task="empty"
        )
        await everything(framework, 1000)
        await framework.accept(destroy(volume("v1", 64)), unreserve(disk(64)))
        await until(gone, "the removal of the second volume")
        assert reserved_disk(await everything(framework, 1000)) == 0


def data_of(system: System, name: str) -> bytes:
    """What a task wrote to the file ``f`` of the volume."""
    command = ["sh", "-c", "until test -s /v/f; do sleep 0.1; done; cat /v/f"]
    mounted = {name: {"bind": "/v", "mode": "ro"}}
    found: bytes = system.engine.containers.run(
        system.image, command, volumes=mounted, remove=True, network_mode="none"
    )
    return found


async def test_what_no_record_knows_is_kept_and_named(stateful: System) -> None:
    """The work_dir is lost while a task runs: its container is an orphan, its data stays.

    So it does with a new agent id, and with ``--recover=cleanup``.
    """
    system = stateful
    flags = ["--resources=cpus:4;mem:1024;disk:1000"]
    agent = await system.agent(*flags)
    async with framework_of(system) as framework:
        writes = f"echo kept > $MESOS_SANDBOX/data/f; {GENTLE}"
        write = task_with(system, "w", writes, volume("v", 64))
        await framework.accept(reserve(disk(64)), create(volume("v", 64)), launch(write))
        await framework.state("w", "TASK_RUNNING")
        (made,) = await asyncio.to_thread(volumes_of, system)
        assert await asyncio.to_thread(data_of, system, made.name) == b"kept\n"
        await agent.kill()
        await framework.stop()
    work_dir = system.directory / "agent0"
    for path in work_dir.iterdir():
        if path.name.startswith("journal"):
            path.unlink()
    agent.forget_log()
    await agent.start()
    command = f"docker volume rm {made.name}"
    await agent.logged(command)
    await agent.logged("registered with")
    await system.no_containers()
    here = [f"--work_dir={work_dir}", f"--shim_id={system.shim_id}"]
    config = load(["--master=127.0.0.1:5050", "--ip=127.0.0.1", *here], {})
    assert (await check_volumes(config)).endswith(command)
    await agent.end()
    cleaning = AgentProcess(system.master, work_dir, system.shim_id, *flags, "--recover=cleanup")
    system.agents.append(cleaning)
    await cleaning.start()
    assert await cleaning.exit_code() == 0
    assert [each.name for each in await asyncio.to_thread(volumes_of, system)] == [made.name]
    assert await asyncio.to_thread(data_of, system, made.name) == b"kept\n"


NOBODY = "65534"


async def test_volumes_in_tasks_of_every_kind(shared: System) -> None:
    """Shared by tasks that run at once, of a user, in a pod's executor and member, read-only."""
    system = shared
    both, own = volume("both", 16, shared={}), volume("own", 16)
    pod, member_s = volume("pod", 16, "pst"), volume("member", 16, "mine")
    async with framework_of(system) as framework:
        total = total_disk(await framework.until(lambda e: e["event"] == "offers"))
        data = "$MESOS_SANDBOX/data"
        meet = "touch {0}/{1}; until test -e {0}/{2}; do sleep 0.1; done"
        first = task_with(system, "first", meet.format(data, "1", "2"), both)
        second = member(system, "second", meet.format("/both", "2", "1"))
        second["resources"].append(volume("both", 16, "/both", shared={}))
        user = task_with(system, "user", f"echo mine > {data}/file; chmod 700 {data}", own)
        user["container"]["docker"]["parameters"] = [{"key": "user", "value": NOBODY}]
        mounted = [shared_volume("pst", "/mnt/pod")]
        writes = member(system, "writes", "echo pod > /mnt/pod/file", volumes=mounted)
        reads = "until test -s /mnt/pod/file; do sleep 0.1; done; echo kept > mine/file"
        reader = member(system, "reads", reads, volumes=mounted)
        reader["resources"].append(member_s)
        group_of = group(framework, "volumes", writes, reader)
        group_of["launch_group"]["executor"]["resources"].append(pod)
        made = (reserve(disk(64)), create(both, own, pod, member_s))
        await framework.accept(*made, launch(first, second, user), group_of)
        for name in ("first", "second", "user", "writes", "reads"):
            status = await framework.end(name)
            assert status["state"] == "TASK_FINISHED", (name, status.get("message"))

        check = "test $(stat -c %u:%a /own) = 65534:700 && test $(cat /own/file) = mine"
        again = member(system, "again", f"{check} && ! touch /own/new && cat /mine/file")
        again["resources"] += [
            volume("own", 16, "/own", "RO"),
            volume("member", 16, "/mine"),
        ]
        await everything(framework, total)
        await finishes(framework, launch(again), task="again")
        await everything(framework, total)
        await framework.accept(destroy(both, own, pod, member_s), unreserve(disk(64)))
        await system.no_containers()

        async def gone() -> bool:
            return not await asyncio.to_thread(volumes_of, system)

        await until(gone, "the removal of all volumes")
