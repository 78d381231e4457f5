from __future__ import annotations

import pytest

from shim.model.container import Ref, Usage
from tests.http.conftest import Client
from tests.http.page_data import FRAMEWORK, PageData, accept_task, end_task, run_task

SUMMED_KEYS = (
    "cpus_user_time_secs",
    "cpus_system_time_secs",
    "cpus_limit",
    "mem_rss_bytes",
    "mem_limit_bytes",
    "disk_used_bytes",
    "disk_limit_bytes",
)
"""The web UI adds these up. One missing key makes the sum NaN."""


@pytest.fixture
def refs(page_data: PageData) -> list[Ref]:
    found = [accept_task(page_data.core, f"web.{number}") for number in range(4)]
    for ref in found[:3]:
        run_task(page_data.core, ref)
    end_task(page_data.core, found[2])
    return found


async def test_statistics_of_running_tasks(
    client: Client, page_data: PageData, refs: list[Ref]
) -> None:
    page_data.usages[refs[0]] = Usage(
        timestamp=5.25, cpus_user_time_secs=1.5, mem_rss_bytes=7, network={"rx_bytes": 9}
    )
    found = await (await client.get("/monitor/statistics")).json()
    assert [entry["executor_id"] for entry in found] == ["web.0", "web.1"]
    first = found[0]
    assert first["framework_id"] == FRAMEWORK
    assert first["source"] == "web.0"
    assert first["executor_name"].startswith("Command Executor (Task: web.0) (Command: sh -c")
    statistics = first["statistics"]
    assert (statistics["timestamp"], statistics["cpus_user_time_secs"]) == (5.25, 1.5)
    assert (statistics["cpus_limit"], statistics["mem_limit_bytes"]) == (0.5, 128 * 2**20)
    assert (statistics["mem_rss_bytes"], statistics["net_rx_bytes"]) == (7, 9)
    for entry in found:
        for name in (*SUMMED_KEYS, "timestamp"):
            assert isinstance(entry["statistics"][name], int | float)


async def test_limits_of_a_task_with_its_own_limits(
    client: Client, page_data: PageData, refs: list[Ref]
) -> None:
    wire = page_data.core.tasks.table[refs[0].task_key].wire
    wire.limits["cpus"].value = 2.0
    wire.limits["mem"].value = float("inf")
    statistics = (await (await client.get("/monitor/statistics")).json())[0]["statistics"]
    assert (statistics["cpus_limit"], statistics["cpus_soft_limit"]) == (2.0, 0.5)
    assert statistics["mem_limit_bytes"] == 128 * 2**20


async def test_containers_adds_id_and_status(client: Client, refs: list[Ref]) -> None:
    found = await (await client.get("/containers")).json()
    assert [entry["container_id"] for entry in found] == [ref.container_id for ref in refs[:2]]
    assert found[0]["status"]["container_id"] == {"value": refs[0].container_id}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("container_id={0}", 1),
        ("container_id=unknown", 0),
        (f"framework_id={FRAMEWORK}", 2),
        (f"framework_id={FRAMEWORK}&executor_id=web.1", 1),
        ("framework_id=other", 0),
    ],
)
async def test_containers_are_filtered_by_ids(
    client: Client, refs: list[Ref], query: str, count: int
) -> None:
    answer = await client.get("/containers?" + query.format(refs[0].container_id))
    assert len(await answer.json()) == count


@pytest.mark.parametrize("query", ["executor_id=x", "container_id=x&framework_id=y"])
async def test_other_combinations_of_ids_are_refused(client: Client, query: str) -> None:
    assert (await client.get("/containers?" + query)).status == 400
