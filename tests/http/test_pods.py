"""Default executors and the tasks of their groups on the pages."""

from __future__ import annotations

from typing import Any

from shim.model.container import Ref, Usage
from shim.model.ids import FrameworkId, TaskId, TaskKey
from tests.http.conftest import Client
from tests.http.page_data import (
    FRAMEWORK,
    PageData,
    accept_task,
    end_task,
    launch_group,
    run_group,
    run_task,
)
from tests.http.test_state import state

F = FrameworkId(FRAMEWORK)


def ref_of(page_data: PageData, task: str) -> Ref:
    return page_data.core.tasks.table[TaskKey(F, TaskId(task))].ref


def end(page_data: PageData, task: str, *, acknowledged: bool = True) -> None:
    end_task(page_data.core, ref_of(page_data, task), acknowledged=acknowledged)
    page_data.core.groups.advance()
    page_data.core.ctx.take()


def executors(found: Any, kind: str = "executors", frameworks: str = "frameworks") -> list[Any]:
    return [each for framework in found[frameworks] for each in framework[kind]]


def names(entries: list[Any]) -> list[str]:
    return [entry["id"] for entry in entries]


async def test_a_default_executor_is_one_entry_with_all_its_tasks(page_data: PageData) -> None:
    launch_group(page_data.core, "pod", "a", "b")
    run_group(page_data.core, "a", "b")
    run_task(page_data.core, accept_task(page_data.core, "plain"))
    found = await state(page_data)
    pod, plain = sorted(executors(found), key=lambda entry: entry["id"] != "pod")
    assert (pod["id"], pod["name"], pod["type"], pod["role"]) == ("pod", "pod pod", "DEFAULT", "*")
    assert names(pod["tasks"]) == ["a", "b"]
    assert {task["executor_id"] for task in pod["tasks"]} == {"pod"}
    assert pod["queued_tasks"] == pod["completed_tasks"] == []
    assert pod["resources"]["cpus"] == 1.1, "the executor's and its tasks'"
    assert found["unreserved_resources_allocated"]["cpus"] == 1.6
    assert pod["directory"].endswith(f"/executors/pod/runs/{pod['container']}")
    assert "type" not in plain
    assert plain["tasks"][0]["executor_id"] == ""


async def test_ended_tasks_stay_with_their_executor(page_data: PageData) -> None:
    launch_group(page_data.core, "pod", "a", "b", "c")
    run_group(page_data.core, "a", "b", "c")
    end(page_data, "a")
    end(page_data, "b", acknowledged=False)
    (pod,) = executors(await state(page_data))
    assert names(pod["tasks"]) == ["c"]
    assert names(pod["completed_tasks"]) == ["a", "b"]
    end(page_data, "c")
    end_task(page_data.core, ref_of(page_data, "b"), acknowledged=True)
    page_data.core.groups.advance()
    found = await state(page_data)
    (pod,) = executors(found, "completed_executors", "completed_frameworks")
    assert (pod["type"], sorted(names(pod["completed_tasks"]))) == ("DEFAULT", ["a", "b", "c"])
    assert pod["resources"]["cpus"] == 0.0


async def test_usage_and_containers_name_the_executor(page_data: PageData, client: Client) -> None:
    launch_group(page_data.core, "pod", "a")
    run_group(page_data.core, "a")
    page_data.usages[ref_of(page_data, "a")] = Usage(timestamp=1.0, mem_rss_bytes=7)
    (used,) = await (await client.get("/monitor/statistics")).json()
    assert (used["executor_id"], used["executor_name"]) == ("pod", "pod pod")
    assert used["statistics"]["mem_rss_bytes"] == 7
    query = {"framework_id": FRAMEWORK, "executor_id": "pod"}
    (container,) = await (await client.get("/containers", params=query)).json()
    assert container["container_id"] == ref_of(page_data, "a").container_id


async def browse(client: Client, path: str) -> Any:
    answer = await client.get("/files/browse", params={"path": path})
    return await answer.json() if answer.status == 200 else answer.status


async def test_the_web_ui_finds_the_sandbox_of_each_task(
    page_data: PageData, client: Client
) -> None:
    launch_group(page_data.core, "pod", "a", "b")
    run_group(page_data.core, "a", "b")
    page_data.outputs.texts = {"stdout": b"hello"}
    (pod,) = executors(await state(page_data))
    directory = pod["directory"]
    assert [each["path"] for each in await browse(client, directory)] == [f"{directory}/tasks"]
    listed = await browse(client, f"{directory}/tasks")
    assert [each["path"] for each in listed] == [f"{directory}/tasks/{name}" for name in "ab"]
    assert {each["mode"][0] for each in listed} == {"d"}
    files = await browse(client, f"{directory}/tasks/a")
    assert f"{directory}/tasks/a/stdout" in [each["path"] for each in files]
    query = {"path": f"{directory}/tasks/a/stdout", "offset": "0"}
    assert (await (await client.get("/files/read", params=query)).json())["data"] == "hello"
    assert await browse(client, f"{directory}/tasks/c") == 404
    assert await browse(client, f"{directory}/stdout") == 404
    latest = f"/frameworks/{FRAMEWORK}/executors/pod/runs/latest/tasks/a"
    assert len(await browse(client, latest)) == len(files)
    debug = await (await client.get("/files/debug")).json()
    assert f"{directory}/tasks/b" in debug
    assert latest in debug


async def test_the_sandbox_of_an_ended_task_stays(page_data: PageData, client: Client) -> None:
    launch_group(page_data.core, "pod", "a")
    run_group(page_data.core, "a")
    (pod,) = executors(await state(page_data))
    end(page_data, "a")
    path = f"{pod['directory']}/tasks/a"
    assert len(await browse(client, path)) == 2
    assert names(executors(await state(page_data), frameworks="completed_frameworks")) == []
