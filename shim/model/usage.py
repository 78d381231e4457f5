"""Resource usage of a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Usage:
    """One sample. The names are those of Mesos' ResourceStatistics."""

    timestamp: float
    """Seconds since the epoch."""
    cpus_user_time_secs: float = 0.0
    cpus_system_time_secs: float = 0.0
    mem_rss_bytes: int = 0
    mem_total_bytes: int = 0
    processes: int = 0
    network: Mapping[str, int] = field(default_factory=dict)
    """``rx_bytes``, ``tx_packets`` ...; empty where the container has no network of its own."""
