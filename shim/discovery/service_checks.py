"""The Consul check of a task's services, made from the task's health check. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shim import limits
from shim.model.settings import CheckMode
from shim.protos.mesos_pb2 import HealthCheck, TaskInfo

PASSING = "passing"
CRITICAL = "critical"

PortResolver = Callable[[int], tuple[str, int] | None]
"""Container port -> ``(host, port)`` as clients reach it; None when no address reaches it."""


@dataclass(frozen=True, slots=True)
class ConsulCheck:
    """One check definition. ``fields`` uses Consul's names."""

    fields: Mapping[str, Any]
    status: str
    """The status at registration. A TTL check is kept at this status by updates."""
    ttl: float | None = None
    """Seconds within which the agent has to update the check; None for a check Consul runs."""
    revision: str = field(init=False)
    """A hash of ``fields``. Consul's API does not return a check's definition, so the service's
    Meta carries this hash and shows when the definition has changed."""

    def __post_init__(self) -> None:
        text = json.dumps(self.fields, sort_keys=True).encode()
        object.__setattr__(self, "revision", hashlib.sha256(text).hexdigest()[:12])


def ttl_check(name: str, seconds: float, passing: bool) -> ConsulCheck:
    """A check whose status the agent reports."""
    fields = {"Name": name, "TTL": f"{seconds:g}s", **_CLEANUP}
    return ConsulCheck(fields, PASSING if passing else CRITICAL, seconds)


def task_check(
    task: TaskInfo, healthy: bool | None, mode: CheckMode, resolve: PortResolver
) -> ConsulCheck:
    """The check of a task.

    A task without a health check passes. A task with one is critical until it is healthy.
    """
    if not task.HasField("health_check"):
        return ttl_check("Mesos task", limits.CONSUL_TASK_TTL, passing=True)
    fields = _consul_fields(task.health_check, resolve) if mode is CheckMode.CONSUL else None
    if fields is None:
        return ttl_check("Mesos health check", limits.CONSUL_TASK_TTL, passing=healthy is True)
    return ConsulCheck(fields, PASSING if healthy else CRITICAL)


_CLEANUP = {"DeregisterCriticalServiceAfter": f"{limits.CONSUL_DEREGISTER_AFTER}s"}


def _consul_fields(health: HealthCheck, resolve: PortResolver) -> dict[str, Any] | None:
    """The definition of a check that Consul runs.

    None for a command check and for a port that Consul cannot reach.
    """
    timing = {
        "Interval": _seconds(health.interval_seconds),
        "Timeout": _seconds(health.timeout_seconds),
        **_CLEANUP,
    }
    if health.type == HealthCheck.HTTP:
        address = resolve(health.http.port)
        if address is None:
            return None
        scheme = health.http.scheme or "http"
        url = f"{scheme}://{authority(*address)}{health.http.path or '/'}"
        # A Mesos HTTPS health check does not verify certificates either.
        return {"Name": f"HTTP {health.http.port}", "HTTP": url, "TLSSkipVerify": True, **timing}
    if health.type == HealthCheck.TCP:
        address = resolve(health.tcp.port)
        if address is None:
            return None
        return {"Name": f"TCP {health.tcp.port}", "TCP": authority(*address), **timing}
    return None


def authority(host: str, port: int) -> str:
    """``host:port``; an IPv6 host is in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _seconds(value: float) -> str:
    """Consul rejects an interval of zero, so one second is the least."""
    return f"{max(value, 1):g}s"
