"""``resources`` and ``limits``: shares, quotas, memory and GPUs, by Mesos' own arithmetic."""

from __future__ import annotations

import math

from shim.engine.mapping.spec_builder import Field, SpecBuilder, Triton, invalid, plain
from shim.engine.mapping.values.units import INT64_MAX
from shim.protos.mesos_pb2 import TaskInfo

MIB = 2**20
SHARES_PER_CPU = 1024
MIN_SHARES = 2
MAX_SHARES = 262_144
"""The kernel's bound: an agent of a whole datacenter may be asked for more CPUs than that."""
QUOTA_PER_CPU = 100_000
"""Microseconds of the default period of 100 ms."""
MIN_QUOTA = 1_000
MIN_MEMORY = 32 * MIB

FIELDS = (
    Field(
        "resources: cpus",
        "HostConfig.CpuShares",
        "1024 per CPU, 2 to 262144; on Triton the package decides",
        Triton.NOTE,
    ),
    Field(
        "resources: cpus (--cgroups_enable_cfs), limits: cpus",
        "HostConfig.CpuQuota",
        "100000 µs per CPU, at least 1000; an infinite limit sets none",
        Triton.HINT,
    ),
    Field(
        "resources: mem",
        "HostConfig.Memory, HostConfig.MemoryReservation",
        "whole MiB, at least 32; the reservation only beside a limit. On Triton the memory selects"
        " the package",
        Triton.NOTE,
    ),
    Field(
        "limits: mem",
        "HostConfig.Memory, HostConfig.OomScoreAdj",
        "whole MiB, at least 32; an infinite limit sets none (on Triton: the request counts)",
        Triton.NOTE,
    ),
    Field(
        "resources: gpus",
        "HostConfig.DeviceRequests",
        "a whole number of NVIDIA GPUs (API 1.40)",
        Triton.REFUSED,
    ),
    Field(
        "resources: disk, resources: ports, other resources",
        "-",
        "accounted, not enforced; ports: see port mappings",
        Triton.YES,
        "accounted",
    ),
    Field(
        "resources.disk.persistence",
        "-",
        "persistent volumes are refused: there is no host to keep them on",
        Triton.REFUSED,
        "refused",
    ),
)


def map_resources(draft: SpecBuilder) -> None:
    """HostConfig's numbers from the task's own resources (no executor's allowance in them)."""
    _refuse_persistence(draft.task)
    _map_cpus(draft)
    _map_memory(draft)
    _map_gpus(draft)
    for name in sorted(set(draft.task.limits) - {"cpus", "mem"}):
        draft.warn(f"limits: {plain(name)} has no effect")


def total(task: TaskInfo, name: str) -> float | None:
    """The sum of a scalar resource over all roles and reservations; None when there is none."""
    values = [r.scalar.value for r in task.resources if r.name == name]
    if not values:
        return None
    result = sum(values)
    if not math.isfinite(result):
        invalid("Not a finite number", f"resources: {name}", result)
    return result


def _limit(task: TaskInfo, name: str) -> float | None:
    if name not in task.limits:
        return None
    value = task.limits[name].value
    if math.isnan(value):
        invalid("Not a number", f"limits: {name}", value)
    return value


def _map_cpus(draft: SpecBuilder) -> None:
    cpus, limit = total(draft.task, "cpus"), _limit(draft.task, "cpus")
    if draft.rules.triton:
        if limit is not None:
            draft.honoured(Triton.HINT, "limits: cpus", limit)
        return
    if cpus is not None:
        shares = int(min(SHARES_PER_CPU * cpus, MAX_SHARES))
        draft.put("HostConfig.CpuShares", max(shares, MIN_SHARES))
    quota = limit if limit is not None else cpus if draft.rules.enable_cfs else None
    if quota is not None and math.isfinite(quota):
        value = _int64(QUOTA_PER_CPU * quota, "cpus", quota)
        draft.put("HostConfig.CpuQuota", max(value, MIN_QUOTA))


def _map_memory(draft: SpecBuilder) -> None:
    request, limit = total(draft.task, "mem"), _limit(draft.task, "mem")
    if draft.rules.triton:
        if limit is not None and math.isinf(limit):
            draft.warn(
                "limits: mem inf: Triton has no container without a limit, the request counts"
            )
            limit = None
        _put_memory(draft, request if limit is None else limit)
        return
    _put_memory(draft, request if limit is None else limit)
    if limit is None or request is None:
        return
    soft = _bytes(request)
    draft.put("HostConfig.MemoryReservation", soft)
    if request < limit and draft.rules.host_memory_mb > 0:
        draft.put("HostConfig.OomScoreAdj", _oom_score(soft, draft.rules.host_memory_mb * MIB))


def _put_memory(draft: SpecBuilder, mem: float | None) -> None:
    if mem is not None and math.isfinite(mem):
        draft.put("HostConfig.Memory", _bytes(mem))


def _bytes(mem: float) -> int:
    return max(_int64(math.trunc(mem) * MIB, "mem", mem), MIN_MEMORY)


def _oom_score(request: int, host_memory: int) -> int:
    """The bigger the part that was asked for, the later the kernel picks the task."""
    return max(1000 - 1000 * request // host_memory, 0)


def _map_gpus(draft: SpecBuilder) -> None:
    gpus = total(draft.task, "gpus")
    if gpus is None or gpus == 0:
        return
    if gpus < 0 or not gpus.is_integer():
        invalid("The 'gpus' resource must be an unsigned integer", "resources: gpus", gpus)
    draft.honoured(Triton.REFUSED, "resources: gpus", int(gpus))
    if not draft.rules.speaks("1.40"):
        invalid("The engine's API is older than 1.40", "resources: gpus", int(gpus))
    count = _int64(gpus, "gpus", gpus)
    request = {"Driver": "nvidia", "Count": count, "Capabilities": [["gpu"]]}
    draft.append("HostConfig.DeviceRequests", request)


def _refuse_persistence(task: TaskInfo) -> None:
    for i, resource in enumerate(task.resources):
        if resource.disk.HasField("persistence"):
            field = f"resources[{i}].disk.persistence.id"
            invalid("Persistent volumes are not supported", field, resource.disk.persistence.id)


def _int64(value: float, name: str, asked: float) -> int:
    if abs(value) > INT64_MAX:
        invalid("Larger than the engine can count", f"resources: {name}", asked)
    return int(value)
