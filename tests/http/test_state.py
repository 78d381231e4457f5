"""/state as its readers take it apart: the web UI, Marathon, tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shim import limits
from shim.core.lifecycle import Event
from shim.http.state import StatePage, resource_keys
from shim.http.task_json_cache import TaskJsonCache
from shim.model.facts import LaunchAdvanced, Stage
from shim.protos.mesos_pb2 import DrainConfig, Resource, SlaveInfo, Value
from tests.http.world import AGENT, FRAMEWORK, World, accept, end, run

TOP = {
    "version",
    "build_date",
    "build_time",
    "build_user",
    "start_time",
    "id",
    "pid",
    "hostname",
    "capabilities",
    "resources",
    "reserved_resources",
    "unreserved_resources",
    "reserved_resources_full",
    "unreserved_resources_full",
    "reserved_resources_allocated",
    "unreserved_resources_allocated",
    "resource_providers",
    "attributes",
    "master_hostname",
    "external_log_file",
    "flags",
    "frameworks",
    "completed_frameworks",
}


async def state(world: World, fragments: TaskJsonCache | None = None) -> Any:
    sources = world.sources
    made = fragments or TaskJsonCache(sources)
    return json.loads(b"".join([piece async for piece in StatePage(sources, made).pieces()]))


async def test_an_empty_agent_has_all_keys(world: World) -> None:
    found = await state(world)
    assert set(found) == TOP
    assert found["id"] == AGENT
    assert found["pid"] == "slave(1)@10.1.2.3:5051"
    assert found["hostname"] == "agent.example"
    assert found["attributes"] == {"rack": "r1"}
    assert found["resources"] == {"cpus": 64.0, "gpus": 0.0, "mem": 131072.0, "disk": 0.0}
    assert found["frameworks"] == found["completed_frameworks"] == []
    assert found["unreserved_resources_full"][0] == {
        "name": "cpus",
        "type": "SCALAR",
        "scalar": {"value": 64.0},
        "role": "*",
    }


async def test_an_agent_that_no_master_knows(world: World) -> None:
    world.core.ctx.agent_id = world.core.ctx.master = None
    found = await state(world)
    assert found["id"] == ""
    assert "master_hostname" not in found


async def test_draining_shows(world: World) -> None:
    world.core.tasks.drain = DrainConfig(mark_gone=True)
    assert (await state(world))["drain_config"] == {"mark_gone": True}


async def test_a_running_task(world: World) -> None:
    ref = accept(world.core, "web.8f1c")
    run(world.core, ref)
    found = await state(world)
    (framework,) = found["frameworks"]
    assert {key: framework[key] for key in ("id", "name", "user", "hostname", "roles")} == {
        "id": FRAMEWORK,
        "name": "marathon",
        "user": "root",
        "hostname": "m1",
        "roles": ["*"],
    }
    assert (framework["failover_timeout"], framework["checkpoint"]) == (604800.0, True)
    (executor,) = framework["executors"]
    (task,) = executor.pop("tasks")
    assert executor == {
        "id": "web.8f1c",
        "name": "Command Executor (Task: web.8f1c) (Command: sh -c 'sleep 60; ec...')",
        "source": "web.8f1c",
        "container": ref.container_id,
        "directory": f"/var/lib/shim/slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/web.8f1c"
        f"/runs/{ref.container_id}",
        "resources": {
            "cpus": 0.5,
            "gpus": 0.0,
            "mem": 128.0,
            "disk": 0.0,
            "ports": "[31005-31005]",
        },
        "role": "*",
        "labels": [{"key": "tier", "value": "front"}],
        "queued_tasks": [],
        "completed_tasks": [],
    }
    assert task["executor_id"] == ""
    assert task["state"] == "TASK_RUNNING"
    assert [status["state"] for status in task["statuses"]] == ["TASK_STARTING", "TASK_RUNNING"]
    assert set(task["statuses"][1]) == {"state", "timestamp", "container_status"}
    container_status = task["statuses"][1]["container_status"]
    assert container_status["container_id"] == {"value": ref.container_id}
    (network,) = container_status["network_infos"]
    assert network["ip_addresses"] == [{"protocol": "IPv4", "ip_address": "192.168.128.7"}]
    assert task["labels"] == [{"key": "tier", "value": "front"}]
    assert task["discovery"]["ports"]["ports"][0]["number"] == 31005
    assert task["health_check"]["consecutive_failures"] == 3
    assert found["unreserved_resources_allocated"]["cpus"] == 0.5


async def test_a_task_that_waits_is_queued_and_its_environment_is_not_told(world: World) -> None:
    accept(world.core, "web.1")
    ((executor,),) = [f["executors"] for f in (await state(world))["frameworks"]]
    (queued,) = executor["queued_tasks"]
    assert executor["tasks"] == executor["completed_tasks"] == []
    assert "state" not in queued
    assert queued["command"]["value"] == "sleep 60; echo a long command"
    variables = queued["command"]["environment"]["variables"]
    assert [v["name"] for v in variables] == ["MARATHON_APP_ID", "PORT0", "PASSWORD"]
    assert "value of" not in json.dumps(queued)


async def test_what_a_launch_is_busy_with_is_told(world: World) -> None:
    ref = accept(world.core, "web.1")
    for detail in ("", "1 of 3 layers"):
        world.core.tasks.set_launch_stage(LaunchAdvanced(ref, Stage.PULLING, detail))
        ((executor,),) = [f["executors"] for f in (await state(world))["frameworks"]]
        assert executor["queued_tasks"][0]["stage"] == f"pulling image {detail}".strip()


async def test_a_start_that_takes_long_says_what_it_waits_for(world: World) -> None:
    ref = accept(world.core, "web.1")
    tasks = world.core.tasks
    tasks.apply(ref, Event.CREATING)
    fragments = TaskJsonCache(world.sources)
    for detail in ("", "Back soon, until 12:00 UTC"):
        tasks.set_launch_stage(LaunchAdvanced(ref, Stage.CREATING, detail))
        (task,) = json.loads(fragments.of_live(tasks.table[ref.key]))["tasks"]
        assert task["state"] == "TASK_STARTING"
        assert task["stage"] == f"creating container {detail}".strip()
    run(world.core, ref)
    (task,) = json.loads(fragments.of_live(tasks.table[ref.key]))["tasks"]
    assert "stage" not in task


async def test_no_secret_of_a_parameter_is_told(world: World) -> None:
    run(world.core, accept(world.core, "web.1"))
    text = json.dumps(await state(world))
    assert "do-not-tell" not in text
    assert '"TOKEN=***"' in text
    assert '"MESOS_TASK_ID=web.1"' in text


async def test_a_task_that_ended_can_still_be_looked_into(world: World) -> None:
    unacknowledged, done = accept(world.core, "a"), accept(world.core, "b")
    for ref in (unacknowledged, done):
        run(world.core, ref)
    end(world.core, unacknowledged)
    end(world.core, done, acknowledged=True)
    (framework,) = (await state(world))["frameworks"]
    ((waiting,), (completed,)) = framework["executors"], framework["completed_executors"]
    assert (waiting["id"], completed["id"]) == ("a", "b")
    for executor in (waiting, completed):
        (task,) = executor["completed_tasks"]
        assert task["state"] == "TASK_FINISHED"
        assert executor["tasks"] == []
        assert executor["resources"]["cpus"] == 0.0
        assert executor["directory"].endswith(executor["container"])


async def test_a_framework_whose_tasks_are_gone_is_completed(world: World) -> None:
    ref = accept(world.core, "a")
    run(world.core, ref)
    end(world.core, ref, acknowledged=True)
    found = await state(world)
    assert found["frameworks"] == []
    (framework,) = found["completed_frameworks"]
    assert (framework["name"], framework["executors"]) == ("marathon", [])
    (executor,) = framework["completed_executors"]
    assert executor["id"] == "a"
    assert found["unreserved_resources_allocated"]["cpus"] == 0.0


async def test_frameworks_are_kept_apart(world: World) -> None:
    for number, framework in enumerate(("f1", "f2", "f1")):
        run(world.core, accept(world.core, f"t{number}", framework))
    found = {f["id"]: [e["id"] for e in f["executors"]] for f in (await state(world))["frameworks"]}
    assert found == {"f1": ["t0", "t2"], "f2": ["t1"]}


async def test_fragments_are_made_anew_only_after_a_change(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAGE_SLICE_SECONDS", 0.0)
    made: list[str] = []
    from shim.http import task_json_cache as module

    real = module.executor

    def counting(ref: Any, *args: Any, **kwargs: Any) -> Any:
        made.append(ref.key.task_id)
        return real(ref, *args, **kwargs)

    monkeypatch.setattr(module, "executor", counting)
    sources = world.sources
    fragments = TaskJsonCache(sources)
    first, second = accept(world.core, "a"), accept(world.core, "b")
    run(world.core, first)
    await fragments.warm()
    assert made == ["a"], "a launch under way changes in a moment"
    await state(world, fragments)
    await fragments.warm()
    assert made == ["a", "b"]
    run(world.core, second)
    found = await state(world, fragments)
    assert made[2:] == ["b"]
    assert [e["tasks"][0]["state"] for e in found["frameworks"][0]["executors"]] == [
        "TASK_RUNNING",
        "TASK_RUNNING",
    ]
    end(world.core, second, acknowledged=True)
    found = await state(world, fragments)
    assert [e["id"] for e in found["frameworks"][0]["completed_executors"]] == ["b"]


async def test_history_is_bounded_as_at_a_stock_agent(world: World) -> None:
    for number in range(limits.COMPLETED_TASKS + 5):
        ref = accept(world.core, f"t{number}")
        run(world.core, ref)
        end(world.core, ref, acknowledged=True)
    (framework,) = (await state(world))["completed_frameworks"]
    ids = [executor["id"] for executor in framework["completed_executors"]]
    assert len(ids) == limits.COMPLETED_TASKS
    assert ids[-1] == f"t{limits.COMPLETED_TASKS + 4}"


# --- resources ----------------------------------------------------------------------------------


def scalar(name: str, value: float, role: str = "*") -> Resource:
    resource = Resource(name=name, type=Value.SCALAR)
    resource.scalar.value = value
    if role != "*":
        resource.reservations.add(type=Resource.ReservationInfo.STATIC, role=role)
    return resource


def reserved(name: str, value: float, role: str) -> Resource:
    resource = Resource(name=name, type=Value.SCALAR)
    resource.scalar.value = value
    resource.reservations.add(type=Resource.ReservationInfo.DYNAMIC, role=role)
    return resource


def test_a_dynamic_reservation_comes_out_of_what_is_free() -> None:
    total = [scalar("cpus", 8.0), scalar("cpus", 2.0, "prod"), scalar("mem", 100.0)]
    found = resource_keys(total, [reserved("cpus", 3.0, "db")])
    assert found["resources"]["cpus"] == 10.0
    assert found["unreserved_resources"] == {"cpus": 5.0, "gpus": 0.0, "mem": 100.0, "disk": 0.0}
    amounts = {role: amount["cpus"] for role, amount in found["reserved_resources"].items()}
    assert amounts == {"prod": 2.0, "db": 3.0}
    assert found["unreserved_resources_full"][0]["scalar"] == {"value": 5.0}
    (full,) = found["reserved_resources_full"]["db"]
    assert full["role"] == "db"
    assert full["reservations"] == [{"type": "DYNAMIC", "role": "db"}]


def test_ranges_and_sets_are_texts() -> None:
    ports = Resource(name="ports", type=Value.RANGES)
    ports.ranges.range.add(begin=33000, end=33100)
    ports.ranges.range.add(begin=31000, end=32000)
    disks = Resource(name="disks", type=Value.SET)
    disks.set.item.extend(["sdb", "sda"])
    info = SlaveInfo(resources=[ports, disks])
    found = resource_keys(info.resources, [])["resources"]
    assert found["ports"] == "[31000-32000, 33000-33100]"
    assert found["disks"] == "{sda, sdb}"


class Datacenter:
    """Every container is paid for as 2 GB, by the second."""

    def __init__(self) -> None:
        self.package: dict[str, dict[str, Any]] = {}

    def paid(self, name: str) -> dict[str, Any] | None:
        return self.package.get(name)

    def state(self) -> dict[str, Any]:
        return {"cost_per_hour": 0.5}

    def tasks(self) -> Iterator[dict[str, Any]]:
        yield {"container": "mesos-1", "machine_seconds": 7}


async def test_what_is_paid_is_beside_what_was_asked(world: World) -> None:
    costs = Datacenter()
    sources = replace(world.sources, costs=costs)
    fragments, ref = TaskJsonCache(sources), accept(world.core, "a")
    run(world.core, ref)

    async def shown() -> Any:
        pieces = [piece async for piece in StatePage(sources, fragments).pieces()]
        return json.loads(b"".join(pieces))

    def task(page: Any) -> Any:
        return page["frameworks"][0]["executors"][0]["tasks"][0]

    assert "triton" not in task(await shown()), "no list has shown it yet"
    costs.package[ref.name] = {"package": "g4-2G", "mem": 2048}
    page = await shown()
    assert task(page)["triton"] == {"package": "g4-2G", "mem": 2048}
    assert task(page)["resources"]["mem"] == 128.0
    assert page["triton"] == {
        "cost_per_hour": 0.5,
        "tasks": [{"container": "mesos-1", "machine_seconds": 7}],
    }
