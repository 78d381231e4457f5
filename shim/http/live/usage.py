"""What containers in sight of the live page use now, and which limits they have."""

from __future__ import annotations

from collections.abc import Collection

from shim import limits
from shim.core.task import Task
from shim.http.protojson import Json
from shim.http.statistics import statistics_of
from shim.http.view import View
from shim.model.container import Usage


async def usage_json(view: View, container_ids: Collection[str]) -> Json:
    """By container id: see :func:`_sample`.

    Ids of containers that do not run, or have no sample yet, are left out.
    """
    wanted = dict.fromkeys(list(container_ids)[: limits.LIVE_USAGES])
    found = (view.agent.task_in(container_id) for container_id in wanted)
    tasks = [task for task in found if task is not None and task.container_running]
    usages = await view.usages([task.ref for task in tasks])
    return {
        task.ref.container_id: _sample(task, usages[task.ref])
        for task in tasks
        if task.ref in usages
    }


def _sample(task: Task, usage: Usage) -> Json:
    """``cpu``: seconds of cpu so far; ``mem``: MB. Limits are in cpus and MB."""
    statistics = statistics_of(task, usage)
    return {
        "at": usage.timestamp,
        "cpu": round(usage.cpus_user_time_secs + usage.cpus_system_time_secs, 3),
        "mem": round(usage.mem_rss_bytes / 2**20, 1),
        "cpus_limit": statistics["cpus_limit"],
        "mem_limit": statistics["mem_limit_bytes"] / 2**20,
        "processes": usage.processes,
    }
