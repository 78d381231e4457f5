"""Resource usage of running containers, sampled only while a client reads it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shim import limits
from shim.engine.api import Engine
from shim.errors import ShimError
from shim.model.container import Ref, Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sample:
    usage: Usage
    taken_s: float


class Sampler:
    """Keeps a sample of each running container, refreshed when it is STATS_AGE seconds old.

    A reader waits at most STATS_TIMEOUT seconds. A slow engine means older samples.
    """

    def __init__(self, engine: Engine, running: Callable[[], Iterable[Ref]]) -> None:
        """``running`` returns the present containers. Needs a running loop."""
        self._engine = engine
        self._running = running
        self._samples: dict[Ref, _Sample] = {}
        self._task: asyncio.Task[None] | None = None
        self._finished_s = 0.0

    async def usages(self) -> Mapping[Ref, Usage]:
        """Return the last sample of each container. Containers without one are left out."""
        if time.monotonic() - self._finished_s > limits.STATS_AGE:
            await self._refresh()
        return {ref: sample.usage for ref, sample in self._samples.items()}

    async def _refresh(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._sample_all(), name="stats")
        await asyncio.wait({self._task}, timeout=limits.STATS_TIMEOUT)

    async def _sample_all(self) -> None:
        """Sample every container once, the oldest sample first."""
        present = dict.fromkeys(self._running())
        for ref in [ref for ref in self._samples if ref not in present]:
            del self._samples[ref]
        due = iter(sorted(present, key=self._taken_s))
        async with asyncio.TaskGroup() as group:
            for _ in range(limits.STATS_AT_ONCE):
                group.create_task(self._sample_next(due))
        self._finished_s = time.monotonic()

    def _taken_s(self, ref: Ref) -> float:
        sample = self._samples.get(ref)
        return 0.0 if sample is None else sample.taken_s

    async def _sample_next(self, due: Iterable[Ref]) -> None:
        for ref in due:
            try:
                answer = await self._engine.stats(ref.name)
                self._samples[ref] = _Sample(usage_of(answer, time.time()), time.monotonic())
            except ShimError as error:
                # The container has ended, or the endpoint is away: the last sample stays.
                log.debug("no statistics of %s: %s", ref, error)
            await asyncio.sleep(limits.STATS_PAUSE)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def usage_of(answer: Mapping[str, Any], now: float) -> Usage:
    """Return the usage in an answer of ``GET /containers/{id}/stats``. Missing values are 0.

    Triton does not tell user from system time: all of it is the user's.
    """
    cpu = _object(_object(answer, "cpu_stats"), "cpu_usage")
    user, kernel = _number(cpu, "usage_in_usermode"), _number(cpu, "usage_in_kernelmode")
    memory = _object(answer, "memory_stats")
    detail = _object(memory, "stats")
    used = _number(memory, "usage")
    rss = _number(detail, "rss") or _number(detail, "anon")
    networks = [net for net in _object(answer, "networks").values() if isinstance(net, dict)]
    return Usage(
        timestamp=now,
        cpus_user_time_secs=(user or _number(cpu, "total_usage") - kernel) / 1e9,
        cpus_system_time_secs=kernel / 1e9,
        mem_rss_bytes=int(rss or max(0.0, used - _number(detail, "inactive_file"))),
        mem_total_bytes=int(used),
        processes=int(_number(_object(answer, "pids_stats"), "current")),
        network=_sum_networks(networks) if networks else {},
    )


def _sum_networks(networks: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {
        f"{direction}_{what}": sum(int(_number(net, f"{direction}_{what}")) for net in networks)
        for direction in ("rx", "tx")
        for what in ("packets", "bytes", "errors", "dropped")
    }


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _number(parent: Mapping[str, Any], name: str) -> float:
    value = parent.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
