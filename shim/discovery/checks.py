"""A task's health check -> the one check its services carry in Consul. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shim import limits
from shim.discovery.config import Checks
from shim.protos.mesos_pb2 import HealthCheck, TaskInfo

PASSING = "passing"
CRITICAL = "critical"

Locate = Callable[[int], tuple[str, int] | None]
"""A port as the task numbers it -> where it is reached from outside, None: nowhere."""


@dataclass(frozen=True, slots=True)
class Check:
    """``fields`` as Consul names them; ``ttl`` in seconds when the shim has to report."""

    fields: Mapping[str, Any]
    status: str
    """What it is registered with and, with a TTL, kept at."""
    ttl: float | None = None
    revision: str = field(init=False)
    """Differs when ``fields`` do: Consul does not give a check's definition back."""

    def __post_init__(self) -> None:
        text = json.dumps(self.fields, sort_keys=True).encode()
        object.__setattr__(self, "revision", hashlib.sha256(text).hexdigest()[:12])


def ttl_check(name: str, seconds: float, passing: bool) -> Check:
    """A check that the shim reports."""
    fields = {"Name": name, "TTL": f"{seconds:g}s", **_CLEANUP}
    return Check(fields, PASSING if passing else CRITICAL, seconds)


def task_check(task: TaskInfo, healthy: bool | None, mode: Checks, locate: Locate) -> Check:
    """Critical until healthy for a task with a health check; without one passing."""
    if not task.HasField("health_check"):
        return ttl_check("Mesos task", limits.CONSUL_TASK_TTL, passing=True)
    fields = _probe(task.health_check, locate) if mode is Checks.CONSUL else None
    if fields is None:
        return ttl_check("Mesos health check", limits.CONSUL_TASK_TTL, passing=healthy is True)
    return Check(fields, PASSING if healthy else CRITICAL)


_CLEANUP = {"DeregisterCriticalServiceAfter": f"{limits.CONSUL_DEREGISTER_AFTER}s"}


def _probe(health: HealthCheck, locate: Locate) -> dict[str, Any] | None:
    """The check as Consul can run it; None: a command, or a port it cannot reach."""
    timing = {
        "Interval": _seconds(health.interval_seconds),
        "Timeout": _seconds(health.timeout_seconds),
        **_CLEANUP,
    }
    if health.type == HealthCheck.HTTP:
        place = locate(health.http.port)
        if place is None:
            return None
        scheme = health.http.scheme or "http"
        url = f"{scheme}://{authority(*place)}{health.http.path or '/'}"
        # Mesos does not verify certificates either.
        return {"Name": f"HTTP {health.http.port}", "HTTP": url, "TLSSkipVerify": True, **timing}
    if health.type == HealthCheck.TCP:
        place = locate(health.tcp.port)
        if place is None:
            return None
        return {"Name": f"TCP {health.tcp.port}", "TCP": authority(*place), **timing}
    return None


def authority(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _seconds(value: float) -> str:
    """Consul refuses an interval of zero."""
    return f"{max(value, 1):g}s"
