"""The part of ``/metrics`` about single tasks: usage, limits and health, for a bounded number.

Tasks that were accepted first have series. So a series does not come and go while its task runs,
and a task beyond the bound gets its own once earlier ones have ended. A gauge counts those beyond.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from shim.core.task import Task
from shim.core.view import AgentView
from shim.http.protojson import Json
from shim.http.statistics import NO_SAMPLE, statistics_of
from shim.http.time_slicer import TimeSlicer
from shim.model.container import Ref, Usage

Usages = Callable[[], Awaitable[Mapping[Ref, Usage]]]

_Family = GaugeMetricFamily | CounterMetricFamily

_LABELS = ("framework", "framework_id", "task_id")
_Read = Callable[[Json], float | None]
"""From the values of ``/monitor/statistics``."""

LIMITS: tuple[tuple[str, str, _Read], ...] = (
    ("task_cpus_limit", "cpus of a task", lambda v: v["cpus_limit"]),
    ("task_memory_limit_bytes", "Memory of a task", lambda v: v["mem_limit_bytes"]),
)
USED: tuple[tuple[str, str, _Read], ...] = (
    ("task_memory_bytes", "Memory in use, without caches", lambda v: v["mem_rss_bytes"]),
    ("task_processes", "Processes and threads of a task", lambda v: v["processes"]),
)
USED_TOTAL: tuple[tuple[str, str, _Read], ...] = (
    (
        "task_cpu_seconds",
        "CPU time that a task used",
        lambda v: v["cpus_user_time_secs"] + v["cpus_system_time_secs"],
    ),
    ("task_network_receive_bytes", "Bytes received", lambda v: v.get("net_rx_bytes")),
    ("task_network_transmit_bytes", "Bytes sent", lambda v: v.get("net_tx_bytes")),
)
"""Counters. What a task uses has series once its container was sampled."""


def tasks_with_metrics(agent: AgentView, max_tasks: int) -> list[Task]:
    """The running tasks that were accepted first."""
    running = (task for task in agent.tasks.values() if task.container_running)
    return list(islice(running, max_tasks))


class TaskMetrics:
    def __init__(
        self, agent: AgentView, usages: Usages, max_tasks: int, time_slicer: TimeSlicer
    ) -> None:
        """``usages`` samples the containers of :func:`tasks_with_metrics`."""
        self._agent = agent
        self._usages = usages
        self._max_tasks = max_tasks
        self._time_slicer = time_slicer

    async def families(self) -> list[Metric]:
        """For one scrape."""
        usages = await self._usages() if self._max_tasks else {}
        families: dict[str, _Family] = {}
        families |= {name: _gauge(name, text) for name, text, _ in (*LIMITS, *USED)}
        families |= {name: _counter(name, text) for name, text, _ in USED_TOTAL}
        healthy = _gauge("task_healthy", "1 if a task with a health check is healthy")
        time_slice, running = self._time_slicer.begin(), 0
        for task in list(self._agent.tasks.values()):
            await time_slice.checkpoint()
            running += task.container_running
            if not task.container_running or running > self._max_tasks:
                continue
            labels, usage = self._labels(task), usages.get(task.ref)
            values = statistics_of(task, usage or NO_SAMPLE)
            for name, _, read in (*LIMITS, *(() if usage is None else (*USED, *USED_TOTAL))):
                if (value := read(values)) is not None:
                    families[name].add_metric(labels, value)
            if (health := _health(task)) is not None:
                healthy.add_metric(labels, health)
        without = _gauge("tasks_without_metrics", "Running tasks beyond --metrics_max_tasks", ())
        without.add_metric((), max(0, running - self._max_tasks))
        return [without, *families.values(), healthy]

    def _labels(self, task: Task) -> Sequence[str]:
        framework_id = task.key.framework_id
        framework = self._agent.frameworks.get(framework_id)
        name = framework.info.name if framework is not None else ""
        return name, framework_id, task.key.task_id


def _health(task: Task) -> bool | None:
    last = task.wire.statuses[-1]
    return last.healthy if last.HasField("healthy") else None


def _gauge(name: str, text: str, labels: Sequence[str] = _LABELS) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"mesos_shim_{name}", text, labels=labels)


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"mesos_shim_{name}", text, labels=_LABELS)
