"""``/monitor/statistics`` and ``/containers``: usage of each running task's container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from shim.core.task import Task
from shim.http.protojson import Json, dump, to_json
from shim.http.responses import HttpError, Response, json_stream
from shim.http.task_json_cache import TaskJsonCache
from shim.http.time_slicer import ArrayItem, json_array
from shim.http.view import View
from shim.model.container import Ref, Usage

NO_SAMPLE = Usage(timestamp=0.0)
_USED = (
    "cpus_user_time_secs",
    "cpus_system_time_secs",
    "mem_rss_bytes",
    "mem_total_bytes",
    "processes",
)
_FILTERS: tuple[set[str], ...] = (
    set(),
    {"container_id"},
    {"framework_id"},
    {"framework_id", "executor_id"},
)


class StatisticsPages:
    def __init__(self, view: View, cache: TaskJsonCache) -> None:
        self._view = view
        self._cache = cache

    async def statistics(self, query: Mapping[str, str]) -> Response:
        usages = await self._view.usages()
        return self._answer(list(self._view.agent.tasks.values()), usages, {}, with_status=False)

    async def containers(self, query: Mapping[str, str]) -> Response:
        given = {name for name in ("container_id", "framework_id", "executor_id") if name in query}
        if given not in _FILTERS:
            text = "Expecting container_id, or framework_id with or without executor_id\n"
            raise HttpError(400, text)
        if "container_id" in given:
            found = self._view.agent.task_in(query["container_id"])
            tasks = [found] if found is not None and found.container_running else []
            usages = await self._view.usages([task.ref for task in tasks])
        else:
            tasks = list(self._view.agent.tasks.values())
            usages = await self._view.usages()
        return self._answer(tasks, usages, query, with_status=True)

    def _answer(
        self,
        tasks: Sequence[Task],
        usages: Mapping[Ref, Usage],
        query: Mapping[str, str],
        *,
        with_status: bool,
    ) -> Response:
        entries = self._entries(tasks, usages, query, with_status=with_status)
        return json_stream(json_array(entries, self._view.time_slicer.begin()))

    def _entries(
        self,
        tasks: Sequence[Task],
        usages: Mapping[Ref, Usage],
        query: Mapping[str, str],
        *,
        with_status: bool,
    ) -> Iterator[ArrayItem]:
        for task in tasks:
            if not (task.container_running and _matches(task, query)):
                yield None
                continue
            body: Json = {"statistics": statistics_of(task, usages.get(task.ref, NO_SAMPLE))}
            if with_status:
                body["container_id"] = task.ref.container_id
                body["status"] = to_json(task.wire.statuses[-1].container_status)
            yield self._cache.usage_head_of(task) + b"," + dump(body)[1:]


def _matches(task: Task, query: Mapping[str, str]) -> bool:
    return (
        query.get("framework_id", task.key.framework_id) == task.key.framework_id
        and query.get("executor_id", task.executor_id) == task.executor_id
    )


def statistics_of(task: Task, usage: Usage) -> Json:
    """All keys, with zeros before the first sample: exporters and the web UI add these up."""
    requested = {"cpus": 0.0, "mem": 0.0, "disk": 0.0}
    for resource in task.wire.resources:
        name = resource.name
        if name in requested:
            requested[name] += resource.scalar.value
    limits = {name: value.value for name, value in task.wire.limits.items()}
    megabyte = 2**20
    body: Json = {
        "timestamp": usage.timestamp or task.wire.statuses[-1].timestamp,
        "cpus_limit": _finite(limits.get("cpus"), requested["cpus"]),
        "cpus_soft_limit": requested["cpus"],
        "mem_limit_bytes": int(_finite(limits.get("mem"), requested["mem"]) * megabyte),
        "mem_soft_limit_bytes": int(requested["mem"] * megabyte),
        "disk_limit_bytes": int(requested["disk"] * megabyte),
        "disk_used_bytes": 0,
    }
    body.update((name, getattr(usage, name)) for name in _USED)
    body.update((f"net_{name}", value) for name, value in usage.network.items())
    return body


def _finite(limit: float | None, requested: float) -> float:
    return requested if limit is None or limit == float("inf") else limit
