"""``/monitor/statistics`` and ``/containers``: what each running task's container uses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict

from shim.core.task import Task
from shim.http.answers import Answer, Refusal, json_stream
from shim.http.executor import executor_name
from shim.http.fragments import dump
from shim.http.protojson import Json, to_json
from shim.http.slices import Breather, array
from shim.http.sources import Sources
from shim.model.container import Ref
from shim.model.usage import Usage

_UNKNOWN = Usage(timestamp=0.0)
_FILTERS: tuple[set[str], ...] = (
    set(),
    {"container_id"},
    {"framework_id"},
    {"framework_id", "executor_id"},
)


class StatisticsPages:
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def statistics(self, query: Mapping[str, str]) -> Answer:
        usages = await self._sources.usages.usages()
        return json_stream(array(self._each(list(self._running()), usages, with_status=False)))

    async def containers(self, query: Mapping[str, str]) -> Answer:
        given = {name for name in ("container_id", "framework_id", "executor_id") if name in query}
        if given not in _FILTERS:
            text = "Expecting container_id, or framework_id with or without executor_id\n"
            raise Refusal(400, text)
        usages = await self._sources.usages.usages()
        tasks = [task for task in self._running() if _asked_for(task, query)]
        return json_stream(array(self._each(tasks, usages, with_status=True)))

    def _running(self) -> list[Task]:
        return [task for task in self._sources.core.tasks.table.values() if task.published]

    async def _each(
        self, tasks: list[Task], usages: Mapping[Ref, Usage], *, with_status: bool
    ) -> AsyncIterator[bytes]:
        breather = Breather()
        for task in tasks:
            await breather.pause()
            body = _entry(task, usages.get(task.ref, _UNKNOWN))
            if with_status:
                body["container_id"] = task.ref.container_id
                if task.wire.statuses:
                    body["status"] = to_json(task.wire.statuses[-1].container_status)
            yield dump(body)


def _asked_for(task: Task, query: Mapping[str, str]) -> bool:
    return (
        query.get("container_id", task.ref.container_id) == task.ref.container_id
        and query.get("framework_id", task.key.framework_id) == task.key.framework_id
        and query.get("executor_id", task.key.task_id) == task.key.task_id
    )


def _entry(task: Task, usage: Usage) -> Json:
    return {
        "framework_id": task.key.framework_id,
        "executor_id": task.key.task_id,
        "executor_name": executor_name(task.info),
        "source": task.key.task_id,
        "statistics": _statistics(task, usage),
    }


def _statistics(task: Task, usage: Usage) -> Json:
    """Complete also before the first sample: exporters and the web UI add these keys up."""
    asked = {"cpus": 0.0, "mem": 0.0, "disk": 0.0}
    for resource in task.wire.resources:
        if resource.name in asked:
            asked[resource.name] += resource.scalar.value
    limits = {name: value.value for name, value in task.wire.limits.items()}
    megabyte = 2**20
    body: Json = {
        "timestamp": usage.timestamp or task.wire.statuses[-1].timestamp,
        "cpus_limit": _finite(limits.get("cpus"), asked["cpus"]),
        "cpus_soft_limit": asked["cpus"],
        "mem_limit_bytes": int(_finite(limits.get("mem"), asked["mem"]) * megabyte),
        "mem_soft_limit_bytes": int(asked["mem"] * megabyte),
        "disk_limit_bytes": int(asked["disk"] * megabyte),
        "disk_used_bytes": 0,
    }
    sample = asdict(usage)
    del sample["timestamp"]
    for name, value in sample.pop("network").items():
        body[f"net_{name}"] = value
    body.update(sample)
    return body


def _finite(limit: float | None, asked: float) -> float:
    return asked if limit is None or limit == float("inf") else limit
