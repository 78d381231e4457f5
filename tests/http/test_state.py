"""/state as the web UI, Marathon and tools read it, and the cache behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shim import limits
from shim.core.lifecycle import Event
from shim.http import task_json_cache
from shim.http.executor import executor_json
from shim.http.state import StatePage, resource_keys
from shim.http.task_json_cache import TaskJsonCache
from shim.model.facts import LaunchAdvanced, Stage
from shim.protos.mesos_pb2 import DrainConfig, Resource, SlaveInfo, Value, Volume
from tests.http.page_data import AGENT, FRAMEWORK, PageData, accept_task, end_task, run_task

KEYS = {
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


async def state(page_data: PageData, cache: TaskJsonCache | None = None) -> Any:
    view = page_data.view
    page = StatePage(view, cache or TaskJsonCache(view))
    return json.loads(b"".join([piece async for piece in page.pieces()]))


async def test_an_empty_agent_has_all_keys(page_data: PageData) -> None:
    found = await state(page_data)
    assert set(found) == KEYS
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


async def test_an_agent_without_id_and_master(page_data: PageData) -> None:
    page_data.core.ctx.agent_id = page_data.core.ctx.master = None
    found = await state(page_data)
    assert found["id"] == ""
    assert "master_hostname" not in found


async def test_a_drain_is_shown(page_data: PageData) -> None:
    page_data.core.tasks.drain = DrainConfig(mark_gone=True)
    assert (await state(page_data))["drain_config"] == {"mark_gone": True}


async def test_a_running_task_is_in_its_executor(page_data: PageData) -> None:
    ref = accept_task(page_data.core, "web.8f1c")
    run_task(page_data.core, ref)
    found = await state(page_data)
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


async def test_a_staging_task_is_queued_and_its_environment_is_hidden(page_data: PageData) -> None:
    accept_task(page_data.core, "web.1")
    ((executor,),) = [f["executors"] for f in (await state(page_data))["frameworks"]]
    (queued,) = executor["queued_tasks"]
    assert executor["tasks"] == executor["completed_tasks"] == []
    assert "state" not in queued
    assert queued["command"]["value"] == "sleep 60; echo a long command"
    variables = queued["command"]["environment"]["variables"]
    assert [v["name"] for v in variables] == ["MARATHON_APP_ID", "PORT0", "PASSWORD"]
    assert "value of" not in json.dumps(queued)


async def test_a_queued_task_has_the_stage_of_its_launch(page_data: PageData) -> None:
    ref = accept_task(page_data.core, "web.1")
    for detail in ("", "1 of 3 layers"):
        page_data.core.tasks.set_launch_stage(LaunchAdvanced(ref, Stage.PULLING, detail))
        ((executor,),) = [f["executors"] for f in (await state(page_data))["frameworks"]]
        assert executor["queued_tasks"][0]["stage"] == f"pulling image {detail}".strip()


async def test_a_starting_task_has_a_stage_until_it_runs(page_data: PageData) -> None:
    ref = accept_task(page_data.core, "web.1")
    tasks = page_data.core.tasks
    tasks.apply(ref, Event.CREATING)
    cache = TaskJsonCache(page_data.view)
    for detail in ("", "Back soon, until 12:00 UTC"):
        tasks.set_launch_stage(LaunchAdvanced(ref, Stage.CREATING, detail))
        (task,) = json.loads(cache.executor_of(tasks.table[ref.task_key]))["tasks"]
        assert task["state"] == "TASK_STARTING"
        assert task["stage"] == f"creating container {detail}".strip()
    run_task(page_data.core, ref)
    (task,) = json.loads(cache.executor_of(tasks.table[ref.task_key]))["tasks"]
    assert "stage" not in task


async def test_secrets_in_docker_parameters_are_hidden(page_data: PageData) -> None:
    run_task(page_data.core, accept_task(page_data.core, "web.1"))
    text = json.dumps(await state(page_data))
    assert "do-not-tell" not in text
    assert '"TOKEN=***"' in text
    assert '"MESOS_TASK_ID=web.1"' in text


async def test_ended_tasks_are_shown_before_and_after_acknowledgement(page_data: PageData) -> None:
    unacknowledged, done = accept_task(page_data.core, "a"), accept_task(page_data.core, "b")
    for ref in (unacknowledged, done):
        run_task(page_data.core, ref)
    end_task(page_data.core, unacknowledged)
    end_task(page_data.core, done, acknowledged=True)
    (framework,) = (await state(page_data))["frameworks"]
    ((waiting,), (completed,)) = framework["executors"], framework["completed_executors"]
    assert (waiting["id"], completed["id"]) == ("a", "b")
    for executor in (waiting, completed):
        (task,) = executor["completed_tasks"]
        assert task["state"] == "TASK_FINISHED"
        assert executor["tasks"] == []
        assert executor["resources"]["cpus"] == 0.0
        assert executor["directory"].endswith(executor["container"])


async def test_a_framework_without_tasks_is_completed(page_data: PageData) -> None:
    ref = accept_task(page_data.core, "a")
    run_task(page_data.core, ref)
    end_task(page_data.core, ref, acknowledged=True)
    found = await state(page_data)
    assert found["frameworks"] == []
    (framework,) = found["completed_frameworks"]
    assert (framework["name"], framework["executors"]) == ("marathon", [])
    (executor,) = framework["completed_executors"]
    assert executor["id"] == "a"
    assert found["unreserved_resources_allocated"]["cpus"] == 0.0


async def test_tasks_are_grouped_by_framework(page_data: PageData) -> None:
    for number, framework in enumerate(("f1", "f2", "f1")):
        run_task(page_data.core, accept_task(page_data.core, f"t{number}", framework))
    found = {
        f["id"]: [e["id"] for e in f["executors"]] for f in (await state(page_data))["frameworks"]
    }
    assert found == {"f1": ["t0", "t2"], "f2": ["t1"]}


async def test_task_json_is_built_again_only_after_a_change(
    page_data: PageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAGE_SLICE_SECONDS", 0.0)
    built: list[str] = []

    def counting(ref: Any, *args: Any, **kwargs: Any) -> Any:
        built.append(ref.key.task_id)
        return executor_json(ref, *args, **kwargs)

    monkeypatch.setattr(task_json_cache, "executor_json", counting)
    cache = TaskJsonCache(page_data.view)
    first, second = accept_task(page_data.core, "a"), accept_task(page_data.core, "b")
    run_task(page_data.core, first)
    await cache.warm()
    assert built == ["a"], "launches under way are left out"
    await state(page_data, cache)
    await cache.warm()
    assert built == ["a", "b"]
    run_task(page_data.core, second)
    found = await state(page_data, cache)
    assert built[2:] == ["b"]
    assert [e["tasks"][0]["state"] for e in found["frameworks"][0]["executors"]] == [
        "TASK_RUNNING",
        "TASK_RUNNING",
    ]
    end_task(page_data.core, second, acknowledged=True)
    found = await state(page_data, cache)
    assert [e["id"] for e in found["frameworks"][0]["completed_executors"]] == ["b"]


async def test_history_is_bounded_as_at_a_stock_agent(page_data: PageData) -> None:
    for number in range(limits.COMPLETED_TASKS + 5):
        ref = accept_task(page_data.core, f"t{number}")
        run_task(page_data.core, ref)
        end_task(page_data.core, ref, acknowledged=True)
    (framework,) = (await state(page_data))["completed_frameworks"]
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


def test_a_dynamic_reservation_reduces_the_unreserved_resources() -> None:
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


def test_ranges_and_sets_are_strings() -> None:
    ports = Resource(name="ports", type=Value.RANGES)
    ports.ranges.range.add(begin=33000, end=33100)
    ports.ranges.range.add(begin=31000, end=32000)
    disks = Resource(name="disks", type=Value.SET)
    disks.set.item.extend(["sdb", "sda"])
    info = SlaveInfo(resources=[ports, disks])
    found = resource_keys(info.resources, [])["resources"]
    assert found["ports"] == "[31000-32000, 33000-33100]"
    assert found["disks"] == "{sda, sdb}"


class FakeBilling:
    """Shows a package for the containers in ``package``."""

    def __init__(self) -> None:
        self.package: dict[str, dict[str, Any]] = {}

    def paid(self, name: str) -> dict[str, Any] | None:
        return self.package.get(name)

    def state(self) -> dict[str, Any]:
        return {"cost_per_hour": 0.5}

    def tasks(self) -> Iterator[dict[str, Any]]:
        yield {"container": "mesos-1", "machine_seconds": 7}

    def bill_of(self, name: str) -> dict[str, Any] | None:
        return None


async def test_the_paid_package_is_shown_beside_the_resources(page_data: PageData) -> None:
    billing = FakeBilling()
    view = replace(page_data.view, billing=billing)
    cache, ref = TaskJsonCache(view), accept_task(page_data.core, "a")
    run_task(page_data.core, ref)

    async def shown() -> Any:
        pieces = [piece async for piece in StatePage(view, cache).pieces()]
        return json.loads(b"".join(pieces))

    def task(page: Any) -> Any:
        return page["frameworks"][0]["executors"][0]["tasks"][0]

    assert "triton" not in task(await shown()), "the engine has not shown the package yet"
    billing.package[ref.name] = {"package": "g4-2G", "mem": 2048}
    page = await shown()
    assert task(page)["triton"] == {"package": "g4-2G", "mem": 2048}
    assert task(page)["resources"]["mem"] == 128.0
    assert page["triton"] == {
        "cost_per_hour": 0.5,
        "tasks": [{"container": "mesos-1", "machine_seconds": 7}],
    }


def test_a_volume_on_a_statically_reserved_disk_stands_in_its_place() -> None:
    total = [Resource(name="disk", type=Value.SCALAR, role=role) for role in ("db", "*")]
    total[0].scalar.value, total[1].scalar.value = 300.0, 700.0
    volume, reserved = Resource(), Resource()
    volume.CopyFrom(total[0])
    volume.scalar.value = 100.0
    volume.disk.persistence.id, volume.disk.volume.container_path = "v", "data"
    volume.disk.volume.mode = Volume.RW
    reserved.CopyFrom(total[1])
    reserved.role, reserved.scalar.value = "web", 200.0
    reserved.reservation.principal = "p"
    keys = resource_keys(total, [volume, reserved])
    assert keys["resources"]["disk"] == 1000.0
    assert keys["unreserved_resources"]["disk"] == 500.0
    disks = {role: amounts["disk"] for role, amounts in keys["reserved_resources"].items()}
    assert disks == {"db": 300.0, "web": 200.0}
    sizes = [each["scalar"]["value"] for each in keys["reserved_resources_full"]["db"]]
    assert sorted(sizes) == [100.0, 200.0]
    assert [each["scalar"]["value"] for each in keys["unreserved_resources_full"]] == [500.0]
