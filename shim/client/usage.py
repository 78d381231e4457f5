"""What ``top`` shows: rates between two samples of ``/containers``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from shim.client.text import megabytes

MB = 2**20


class UsageRow(NamedTuple):
    task: str
    cpus: float | None
    """None before the second sample."""
    cpus_limit: float
    memory: float
    memory_limit: float
    """MB, both."""
    processes: int

    @property
    def text(self) -> tuple[str, ...]:
        return (
            self.task,
            "" if self.cpus is None else f"{self.cpus:.2f}",
            f"{self.cpus_limit:g}",
            megabytes(self.memory),
            megabytes(self.memory_limit),
            str(self.processes),
        )


def usage_rows(samples: Mapping[str, Any], before: Mapping[str, Any]) -> list[UsageRow]:
    """By container id. The task that uses most cpu comes first, then by memory."""
    rows = [_row(sample, before.get(id_)) for id_, sample in samples.items()]
    return sorted(rows, key=lambda row: (-(row.cpus or 0.0), -row.memory, row.task))


def _row(sample: Any, before: Any) -> UsageRow:
    use = sample["statistics"]
    return UsageRow(
        sample["executor_id"],
        None if before is None else _cpus(use, before["statistics"]),
        use["cpus_limit"],
        use["mem_rss_bytes"] / MB,
        use["mem_limit_bytes"] / MB,
        use.get("processes", 0),
    )


def _cpus(now: Mapping[str, Any], before: Mapping[str, Any]) -> float | None:
    seconds: float = now["timestamp"] - before["timestamp"]
    if seconds <= 0:
        return None
    used: float = sum(
        now[name] - before[name] for name in ("cpus_user_time_secs", "cpus_system_time_secs")
    )
    return max(0.0, used / seconds)
