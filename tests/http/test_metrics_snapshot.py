from __future__ import annotations

from typing import Any

import pytest

from shim.core.registration import State
from tests.http.conftest import Client
from tests.http.page_data import PageData, accept_task, end_task, run_task

NAMES = [
    "slave/uptime_secs",
    "slave/registered",
    "slave/recovery_time_secs",
    "slave/frameworks_active",
    "slave/executor_directory_max_allowed_age_secs",
    "slave/tasks_staging",
    "slave/tasks_starting",
    "slave/tasks_running",
    "slave/tasks_killing",
    "slave/tasks_finished",
    "slave/tasks_failed",
    "slave/tasks_killed",
    "slave/tasks_lost",
    "slave/tasks_gone",
    "slave/executors_registering",
    "slave/executors_running",
    "slave/executors_terminating",
    "slave/executors_terminated",
    "slave/executors_preempted",
    "slave/recovery_errors",
    "slave/container_launch_errors",
    "slave/valid_status_updates",
    "slave/invalid_status_updates",
    "slave/valid_framework_messages",
    "slave/invalid_framework_messages",
    "system/load_1min",
    "system/load_5min",
    "system/load_15min",
    "system/cpus_total",
    "system/mem_total_bytes",
    "system/mem_free_bytes",
    "containerizer/fetcher/task_fetches_succeeded",
    "containerizer/fetcher/task_fetches_failed",
    "containerizer/fetcher/cache_size_total_bytes",
    "containerizer/fetcher/cache_size_used_bytes",
    "gc/path_removals_succeeded",
    "gc/path_removals_failed",
    "gc/path_removals_pending",
    "resource_provider_manager/subscribed",
    "resource_provider_manager/events/subscribe",
    "resource_provider_manager/events/disconnect",
] + [
    f"slave/{resource}_{what}"
    for resource in ("cpus", "gpus", "mem", "disk")
    for what in (
        "total",
        "used",
        "percent",
        "revocable_total",
        "revocable_used",
        "revocable_percent",
    )
]
"""Names that collectors look up. A missing name is an error for them."""


async def snapshot(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = await (await client.get("/metrics/snapshot")).json()
    return found


async def test_every_name_is_present_as_a_float(client: Client) -> None:
    found = await snapshot(client)
    assert set(found) == set(NAMES)
    assert all(isinstance(value, float) for value in found.values())
    assert '"slave/cpus_total":64.0' in await (await client.get("/metrics/snapshot")).text()


async def test_tasks_are_counted_by_state(client: Client, page_data: PageData) -> None:
    refs = [accept_task(page_data.core, f"t{number}") for number in range(5)]
    for ref in refs[:4]:
        run_task(page_data.core, ref)
    end_task(page_data.core, refs[0])
    end_task(page_data.core, refs[1], acknowledged=True)
    found = await snapshot(client)
    assert found["slave/tasks_staging"] == 1
    assert found["slave/tasks_running"] == 2
    assert found["slave/tasks_finished"] == 2
    assert found["slave/executors_running"] == 2
    assert found["slave/executors_terminated"] == 2
    assert found["slave/frameworks_active"] == 1
    assert found["slave/cpus_used"] == 1.5
    assert found["slave/cpus_percent"] == pytest.approx(1.5 / 64)
    assert found["slave/gpus_percent"] == 0.0


async def test_registration_launch_errors_updates_and_uptime(
    client: Client, page_data: PageData
) -> None:
    stats = page_data.launch_stats
    stats.launches_failed, stats.updates = 3, 7
    found = await snapshot(client)
    assert found["slave/registered"] == 1.0
    assert found["slave/container_launch_errors"] == 3.0
    assert found["slave/valid_status_updates"] == 7.0
    assert found["slave/uptime_secs"] > 0
    page_data.core.registration.state = State.DISCONNECTED
    assert (await snapshot(client))["slave/registered"] == 0.0


async def test_fetches_and_the_size_of_their_cache(client: Client, page_data: PageData) -> None:
    page_data.fetch_stats.succeeded, page_data.fetch_stats.failed = 4, 2
    page_data.fetch_stats.cache_used, page_data.fetch_stats.cache_size = 1000, 5000
    found = await snapshot(client)
    assert found["containerizer/fetcher/task_fetches_succeeded"] == 4.0
    assert found["containerizer/fetcher/task_fetches_failed"] == 2.0
    assert found["containerizer/fetcher/cache_size_used_bytes"] == 1000.0
    assert found["containerizer/fetcher/cache_size_total_bytes"] == 5000.0
