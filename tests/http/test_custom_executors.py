"""Custom executors on the pages: one entry with all their tasks, and the container's sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shim.http.paths import resolve, task_paths
from shim.protos.mesos_pb2 import TaskState
from tests.core.executor_harness import ExecutorShim, update_of
from tests.http.conftest import Client, serving
from tests.http.page_data import PageData


@pytest.fixture
def shim() -> ExecutorShim:
    return ExecutorShim()


@pytest.fixture
async def client(shim: ExecutorShim) -> AsyncIterator[Client]:
    async with serving(PageData(shim.core)) as client:
        yield client


async def page(client: Client, path: str, **query: str) -> Any:
    answer = await client.get(path, params=query)
    assert answer.status == 200, await answer.text()
    return json.loads(await answer.text())


async def test_an_executor_has_all_its_tasks(shim: ExecutorShim, client: Client) -> None:
    shim.running_v1()
    shim.run_inside("queued", launch=False)
    (framework,) = (await page(client, "/state"))["frameworks"]
    (entry,) = framework["executors"]
    assert (entry["id"], entry["type"], entry["name"]) == ("E", "CUSTOM", "an executor")
    container_id = shim.custom().ref.container_id
    assert entry["container"] == container_id
    assert entry["directory"].endswith(f"/executors/E/runs/{container_id}")
    assert [task["id"] for task in entry["tasks"]] == ["t"]
    assert entry["tasks"][0]["executor_id"] == "E"
    assert [task["id"] for task in entry["queued_tasks"]] == ["queued"]
    assert entry["resources"]["cpus"] == pytest.approx(2.1)


async def test_an_executor_without_tasks_is_shown_while_it_lives(
    shim: ExecutorShim, client: Client
) -> None:
    shim.running_v1()
    shim.report(update_of("t", TaskState.TASK_FINISHED, 2))
    shim.acknowledge_all()
    (framework,) = (await page(client, "/state"))["frameworks"]
    (entry,) = framework["executors"]
    assert entry["resources"]["mem"] == 32
    assert [task["state"] for task in entry["completed_tasks"]] == ["TASK_FINISHED"]
    snapshot = await page(client, "/metrics/snapshot")
    assert snapshot["slave/executors_running"] == 1
    assert snapshot["slave/mem_used"] == 32
    shim.executor_exited(0)
    body = await page(client, "/state")
    assert body["frameworks"] == []
    (framework,) = body["completed_frameworks"]
    (entry,) = framework["completed_executors"]
    assert entry["id"] == "E"
    snapshot = await page(client, "/metrics/snapshot")
    assert snapshot["slave/executors_running"] == 0


def test_the_sandbox_of_its_tasks_is_that_of_its_container(shim: ExecutorShim) -> None:
    shim.running_v1()
    data = PageData(shim.core)
    ref = shim.custom().ref
    for path in task_paths("/work", shim.task().key, shim.task()):
        found = resolve(f"{path}/stdout", "/work", data.view.agent, data.view.outputs)
        assert found is not None
        assert (found.ref, found.live, found.inside) == (ref, True, "stdout")
