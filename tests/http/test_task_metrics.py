from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families as parse

from shim.core.lifecycle import Event
from shim.http.exposition import exposition
from shim.http.task_metrics import TaskMetrics, tasks_with_metrics
from shim.http.time_slicer import TimeSlicer
from shim.model import facts
from shim.model.container import Ref, Usage
from tests.http.page_data import FRAMEWORK, PageData, accept_task, end_task, run_task

LIMITS = ("mesos_shim_task_cpus_limit", "mesos_shim_task_memory_limit_bytes")
USED = (
    *("mesos_shim_task_cpu_seconds_total", "mesos_shim_task_memory_bytes"),
    *("mesos_shim_task_processes", "mesos_shim_task_network_receive_bytes_total"),
    "mesos_shim_task_network_transmit_bytes_total",
)


def running(page_data: PageData, *names: str) -> list[Ref]:
    refs = [accept_task(page_data.core, name) for name in names]
    for ref in refs:
        run_task(page_data.core, ref)
    return refs


def metrics_of(page_data: PageData, max_tasks: int) -> TaskMetrics:
    return TaskMetrics(page_data.core.view, page_data.view.usages, max_tasks, TimeSlicer())


async def text_of(metrics: TaskMetrics) -> str:
    body, _ = await exposition(await metrics.families(), "", TimeSlicer().begin())
    return body.decode()


async def samples(metrics: TaskMetrics) -> Mapping[str, dict[str, float]]:
    """Value by task, by metric."""
    found: dict[str, dict[str, float]] = {}
    for family in parse(await text_of(metrics)):
        for sample in family.samples:
            found.setdefault(sample.name, {})[sample.labels.get("task_id", "")] = sample.value
    return found


async def test_limits_use_and_health_of_a_task() -> None:
    page_data = PageData()
    web, batch = running(page_data, 'web."1"', "batch")
    page_data.usages[web] = Usage(
        timestamp=5.0,
        cpus_user_time_secs=1.5,
        cpus_system_time_secs=0.25,
        mem_rss_bytes=2**25,
        processes=3,
        network={"rx_bytes": 7, "tx_bytes": 8},
    )
    page_data.core.tasks.apply(batch, Event.REPORT, facts.HealthReported(batch, healthy=False))
    found = await samples(metrics_of(page_data, 10))
    assert [found[name]['web."1"'] for name in LIMITS] == [0.5, 128 * 2**20]
    assert [found[name]['web."1"'] for name in USED] == [1.75, 2**25, 3, 7, 8]
    assert all("batch" not in found[name] for name in USED), "a counter never begins with a zero"
    assert found["mesos_shim_task_healthy"] == {"batch": 0.0}
    body = await text_of(metrics_of(page_data, 10))
    labels = f'framework="marathon",framework_id="{FRAMEWORK}",task_id="batch"'
    assert f"mesos_shim_task_cpus_limit{{{labels}}} 0.5\n" in body


async def test_tasks_beyond_the_bound_are_counted() -> None:
    page_data = PageData()
    refs = running(page_data, *"abcde")
    accept_task(page_data.core, "waits")
    metrics = metrics_of(page_data, 3)
    found = await samples(metrics)
    assert set(found[LIMITS[0]]) == {"a", "b", "c"}
    assert found["mesos_shim_tasks_without_metrics"] == {"": 2.0}
    tasks = tasks_with_metrics(page_data.core.view, 3)
    assert [task.ref for task in tasks] == refs[:3]
    end_task(page_data.core, refs[0])
    found = await samples(metrics)
    assert set(found[LIMITS[0]]) == {"b", "c", "d"}
    assert found["mesos_shim_tasks_without_metrics"] == {"": 1.0}


async def test_none_at_all_asks_for_no_usage() -> None:
    page_data = PageData()
    running(page_data, "a")

    async def never() -> Mapping[Ref, Usage]:
        raise AssertionError

    metrics = TaskMetrics(page_data.core.view, never, 0, TimeSlicer())
    found = await samples(metrics)
    assert set(found) == {"mesos_shim_tasks_without_metrics"}
