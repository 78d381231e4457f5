"""``resources`` and ``limits``: CPU shares and quota, memory, GPUs, by Mesos' arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from shim.engine.mapping.mapping_settings import MappingSettings
from shim.engine.mapping.spec_builder import FieldRow, SpecBuilder, TritonSupport, printable, reject
from shim.engine.mapping.values.scalars import INT64_MAX
from shim.protos.mesos_pb2 import Resource, TaskInfo

MIB = 2**20
SHARES_PER_CPU = 1024
MIN_SHARES = 2
MAX_SHARES = 262_144
"""The kernel's bound. A task on an agent of a whole datacenter may ask for more CPUs."""
QUOTA_PER_CPU = 100_000
"""Microseconds of the default period of 100 ms."""
MIN_QUOTA = 1_000
MIN_MEMORY = 32 * MIB

FIELDS = (
    FieldRow(
        "resources: cpus",
        "HostConfig.CpuShares",
        "1024 per CPU, 2 to 262144; on Triton the package decides",
        TritonSupport.SEE_NOTE,
    ),
    FieldRow(
        "resources: cpus (--cgroups_enable_cfs), limits: cpus",
        "HostConfig.CpuQuota",
        "100000 µs per CPU, at least 1000; an infinite limit sets none",
        TritonSupport.IGNORED,
    ),
    FieldRow(
        "resources: mem",
        "HostConfig.Memory, HostConfig.MemoryReservation",
        "whole MiB, at least 32; the reservation only beside a limit. Tasks in a task group with"
        " `share_cgroups` (the default) may each use what the executor and all its tasks have. On"
        " Triton the memory selects the package",
        TritonSupport.SEE_NOTE,
    ),
    FieldRow(
        "limits: mem",
        "HostConfig.Memory, HostConfig.OomScoreAdj",
        "whole MiB, at least 32; an infinite limit sets none (on Triton: the request counts)",
        TritonSupport.SEE_NOTE,
    ),
    FieldRow(
        "resources: gpus",
        "HostConfig.DeviceRequests",
        "a whole number of NVIDIA GPUs (API 1.40)",
        TritonSupport.REFUSED,
    ),
    FieldRow(
        "resources: disk, resources: ports, other resources",
        "-",
        "accounted, not enforced; ports: see port mappings",
        TritonSupport.YES,
        "accounted",
    ),
)


def map_resources(builder: SpecBuilder) -> None:
    """Set CPU, memory and GPUs of HostConfig from the task's resources, without an executor's."""
    _map_cpus(builder)
    _map_memory(builder)
    _map_gpus(builder)
    for name in sorted(set(builder.task.limits) - {"cpus", "mem"}):
        builder.warn(f"limits: {printable(name)} has no effect")


def limits_of(resources: Iterable[Resource], settings: MappingSettings) -> Mapping[str, int]:
    """Return the fields of HostConfig that an update of a container's resources sets.

    Raises InvalidTask.
    """
    builder = SpecBuilder(settings, TaskInfo(resources=resources))
    _map_cpus(builder)
    _map_memory(builder)
    return dict(builder.body.get("HostConfig", {}))


def _bounding(builder: SpecBuilder) -> Sequence[Resource]:
    """Return the resources that bound the container.

    Tasks in a task group that share their executor's cgroups have one bound for all of them: each
    may use what the executor and all its tasks have. On Triton each has a package of its own.
    """
    own = builder.task.resources
    linux, member = builder.container.linux_info, builder.member
    if member is None or builder.settings.triton or not linux.share_cgroups:
        return own
    tasks = [task.resources for _, task in member.group] or [own]
    return [*member.executor.resources, *chain.from_iterable(tasks)]


def total_scalar(resources: Iterable[Resource], name: str) -> float | None:
    """Return the sum of a scalar resource over all roles and reservations, or None."""
    values = [r.scalar.value for r in resources if r.name == name]
    if not values:
        return None
    result = sum(values)
    if not math.isfinite(result):
        reject("Not a finite number", f"resources: {name}", result)
    return result


def _limit(task: TaskInfo, name: str) -> float | None:
    if name not in task.limits:
        return None
    value = task.limits[name].value
    if math.isnan(value):
        reject("Not a number", f"limits: {name}", value)
    return value


def _map_cpus(builder: SpecBuilder) -> None:
    cpus, limit = total_scalar(builder.task.resources, "cpus"), _limit(builder.task, "cpus")
    if builder.settings.triton:
        if limit is not None:
            builder.check_support(TritonSupport.IGNORED, "limits: cpus", limit)
        return
    if cpus is not None:
        shares = int(min(SHARES_PER_CPU * cpus, MAX_SHARES))
        builder.set("HostConfig.CpuShares", max(shares, MIN_SHARES))
    bound = total_scalar(_bounding(builder), "cpus") if builder.settings.enable_cfs else None
    quota = bound if limit is None else limit
    if quota is not None and math.isfinite(quota):
        value = _int64(QUOTA_PER_CPU * quota, "cpus", quota)
        builder.set("HostConfig.CpuQuota", max(value, MIN_QUOTA))


def _map_memory(builder: SpecBuilder) -> None:
    request, limit = total_scalar(_bounding(builder), "mem"), _limit(builder.task, "mem")
    if builder.settings.triton:
        if limit is not None and math.isinf(limit):
            builder.warn(
                "limits: mem inf: Triton has no container without a limit, the request counts"
            )
            limit = None
        _put_memory(builder, request if limit is None else limit)
        return
    _put_memory(builder, request if limit is None else limit)
    if limit is None or request is None:
        return
    soft = _bytes(request)
    builder.set("HostConfig.MemoryReservation", soft)
    if request < limit and builder.settings.host_memory_mb > 0:
        builder.set(
            "HostConfig.OomScoreAdj", _oom_score(soft, builder.settings.host_memory_mb * MIB)
        )


def _put_memory(builder: SpecBuilder, mem: float | None) -> None:
    if mem is not None and math.isfinite(mem):
        builder.set("HostConfig.Memory", _bytes(mem))


def _bytes(mem: float) -> int:
    return max(_int64(math.trunc(mem) * MIB, "mem", mem), MIN_MEMORY)


def _oom_score(request: int, host_memory: int) -> int:
    """Return the OOM score: the larger the requested part of the memory, the lower."""
    return max(1000 - 1000 * request // host_memory, 0)


def _map_gpus(builder: SpecBuilder) -> None:
    gpus = total_scalar(builder.task.resources, "gpus")
    if gpus is None or gpus == 0:
        return
    if gpus < 0 or not gpus.is_integer():
        reject("The 'gpus' resource must be an unsigned integer", "resources: gpus", gpus)
    builder.check_support(TritonSupport.REFUSED, "resources: gpus", int(gpus))
    if not builder.settings.supports_api("1.40"):
        reject("The engine's API is older than 1.40", "resources: gpus", int(gpus))
    count = _int64(gpus, "gpus", gpus)
    request = {"Driver": "nvidia", "Count": count, "Capabilities": [["gpu"]]}
    builder.append("HostConfig.DeviceRequests", request)


def _int64(value: float, name: str, asked: float) -> int:
    if abs(value) > INT64_MAX:
        reject("Larger than a 64-bit integer", f"resources: {name}", asked)
    return int(value)
