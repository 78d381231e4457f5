"""``/metrics/snapshot``: every name that a stock agent with Docker tasks has, with a number.

Collectors look each name up and report missing ones as errors. So all names are present; those of
features that the shim does not have (garbage collection, resource providers) are 0.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from shim.core.view import AgentView
from shim.http.amounts import ALWAYS, Amount
from shim.http.task_json_cache import TaskJsonCache
from shim.http.view import FetchStats, View
from shim.model.ids import FrameworkId
from shim.protos.mesos_pb2 import TaskState

_TERMINAL = ("FINISHED", "FAILED", "KILLED", "LOST", "GONE")
_CURRENT = ("STAGING", "STARTING", "RUNNING", "KILLING")
_ALWAYS_ZERO = (
    *(f"slave/{name}" for name in ("executor_directory_max_allowed_age_secs", "recovery_errors")),
    "slave/executors_preempted",
    *(f"gc/path_removals_{name}" for name in ("succeeded", "failed", "pending")),
    "resource_provider_manager/subscribed",
    "resource_provider_manager/events/subscribe",
    "resource_provider_manager/events/disconnect",
)


async def snapshot(view: View, cache: TaskJsonCache) -> dict[str, float]:
    """All metrics by name."""
    agent = view.agent
    used = await cache.allocated()
    counts = await _counts(view)
    found = dict.fromkeys(_ALWAYS_ZERO, 0.0)
    found.update(_tasks(counts, agent.ended_by_state))
    _add_custom_executors(found, agent)
    found.update(_resources(Amount(agent.info.resources), used))
    found.update(_fetches(view.fetch_stats))
    found.update(_system())
    found["slave/uptime_secs"] = time.time() - view.started
    found["slave/registered"] = float(agent.connected)
    found["slave/recovery_time_secs"] = 0.0
    found["slave/frameworks_active"] = float(len(counts.frameworks))
    found["slave/container_launch_errors"] = float(view.launch_stats.launches_failed)
    found["slave/valid_status_updates"] = float(view.launch_stats.updates)
    return found


@dataclass(slots=True)
class _Counts:
    """Of the tasks that the agent has."""

    live: Counter[TaskState.ValueType] = field(default_factory=Counter)
    running_containers: int = 0
    frameworks: set[FrameworkId] = field(default_factory=set)


async def _counts(view: View) -> _Counts:
    counts, time_slice = _Counts(), view.time_slicer.begin()
    for task in list(view.agent.tasks.values()):
        await time_slice.checkpoint()
        counts.frameworks.add(task.key.framework_id)
        counts.running_containers += task.container_running
        if task.live:
            counts.live[task.wire.state] += 1
    return counts


def _tasks(counts: _Counts, totals: Mapping[TaskState.ValueType, int]) -> dict[str, float]:
    current = _named(counts.live)
    found = {f"slave/tasks_{name.lower()}": float(current[f"TASK_{name}"]) for name in _CURRENT}
    ended = _named(totals)
    found.update({f"slave/tasks_{n.lower()}": float(ended[f"TASK_{n}"]) for n in _TERMINAL})
    found["slave/tasks_gone"] += ended["TASK_GONE_BY_OPERATOR"]
    found["slave/executors_running"] = float(counts.running_containers)
    found["slave/executors_terminating"] = found["slave/tasks_killing"]
    found["slave/executors_terminated"] = float(sum(totals.values()))
    return found


def _add_custom_executors(found: dict[str, float], agent: AgentView) -> None:
    """Those that run beside the command executors of :func:`_tasks`, and what they sent."""
    phases = Counter(executor.phase.value for executor in agent.custom_executors.values())
    for name in ("registering", "running", "terminating"):
        key = f"slave/executors_{name}"
        found[key] = found.get(key, 0.0) + phases[name]
    found["slave/executors_terminated"] += agent.counters.get("executors_terminated", 0)
    for name in ("valid_framework_messages", "invalid_framework_messages"):
        found[f"slave/{name}"] = float(agent.counters.get(name, 0))
    invalid = agent.counters.get("invalid_status_updates", 0)
    found["slave/invalid_status_updates"] = float(invalid)


def _named(counted: Mapping[TaskState.ValueType, int]) -> Counter[str]:
    return Counter({TaskState.Name(state): count for state, count in counted.items()})


def _resources(total: Amount, used: Amount) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in ALWAYS:
        has, uses = total.scalars[name], used.scalars[name]
        found[f"slave/{name}_total"] = has
        found[f"slave/{name}_used"] = uses
        found[f"slave/{name}_percent"] = uses / has if has else 0.0
        for what in ("total", "used", "percent"):
            found[f"slave/{name}_revocable_{what}"] = 0.0
    return found


def _fetches(stats: FetchStats) -> dict[str, float]:
    return {
        "containerizer/fetcher/task_fetches_succeeded": float(stats.succeeded),
        "containerizer/fetcher/task_fetches_failed": float(stats.failed),
        "containerizer/fetcher/cache_size_total_bytes": float(stats.cache_size),
        "containerizer/fetcher/cache_size_used_bytes": float(stats.cache_used),
    }


def _system() -> dict[str, float]:
    """Load and memory of the machine that the shim runs on; tasks run elsewhere."""
    one, five, fifteen = os.getloadavg()
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        "system/load_1min": one,
        "system/load_5min": five,
        "system/load_15min": fifteen,
        "system/cpus_total": float(os.cpu_count() or 1),
        "system/mem_total_bytes": float(page * os.sysconf("SC_PHYS_PAGES")),
        "system/mem_free_bytes": float(page * os.sysconf("SC_AVPHYS_PAGES")),
    }
