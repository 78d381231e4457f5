"""What running containers use: one sampler for all, which works only while somebody looks."""

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
from shim.model.container import Ref
from shim.model.usage import Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sample:
    usage: Usage
    taken: float


class Sampler:
    """Samples are at most ``STATS_AGE`` old where the engine keeps up, and never awaited long."""

    def __init__(self, engine: Engine, running: Callable[[], Iterable[Ref]]) -> None:
        """Needs a running loop. ``running``: the containers that there are now."""
        self._engine = engine
        self._running = running
        self._samples: dict[Ref, _Sample] = {}
        self._task: asyncio.Task[None] | None = None
        self._finished = 0.0

    async def usages(self) -> Mapping[Ref, Usage]:
        """What is known. Those of which nothing is known (yet) are left out."""
        if time.monotonic() - self._finished > limits.STATS_AGE:
            await self._refresh()
        return {ref: sample.usage for ref, sample in self._samples.items()}

    async def _refresh(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._round(), name="stats")
        await asyncio.wait({self._task}, timeout=limits.STATS_PATIENCE)

    async def _round(self) -> None:
        """One look at every container: those of which least is known first."""
        wanted = dict.fromkeys(self._running())
        for ref in [ref for ref in self._samples if ref not in wanted]:
            del self._samples[ref]
        due = iter(sorted(wanted, key=self._taken))
        async with asyncio.TaskGroup() as group:
            for _ in range(limits.STATS_AT_ONCE):
                group.create_task(self._work(due))
        self._finished = time.monotonic()

    def _taken(self, ref: Ref) -> float:
        sample = self._samples.get(ref)
        return 0.0 if sample is None else sample.taken

    async def _work(self, due: Iterable[Ref]) -> None:
        for ref in due:
            try:
                answer = await self._engine.stats(ref.name)
                self._samples[ref] = _Sample(usage_of(answer, time.time()), time.monotonic())
            except ShimError as error:
                # It ended meanwhile, or the endpoint is away: the sample before stays.
                log.debug("no statistics of %s: %s", ref, error)
            await asyncio.sleep(limits.STATS_PAUSE)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def usage_of(answer: Mapping[str, Any], now: float) -> Usage:
    """Out of ``GET /containers/{id}/stats``; what it does not say is 0."""
    cpu = _part(_part(answer, "cpu_stats"), "cpu_usage")
    memory = _part(answer, "memory_stats")
    detail = _part(memory, "stats")
    used = _number(memory, "usage")
    rss = _number(detail, "rss") or _number(detail, "anon")
    networks = [net for net in _part(answer, "networks").values() if isinstance(net, dict)]
    return Usage(
        timestamp=now,
        cpus_user_time_secs=_number(cpu, "usage_in_usermode") / 1e9,
        cpus_system_time_secs=_number(cpu, "usage_in_kernelmode") / 1e9,
        mem_rss_bytes=int(rss or max(0.0, used - _number(detail, "inactive_file"))),
        mem_total_bytes=int(used),
        processes=int(_number(_part(answer, "pids_stats"), "current")),
        network=_summed(networks) if networks else {},
    )


def _summed(networks: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {
        f"{way}_{what}": sum(int(_number(net, f"{way}_{what}")) for net in networks)
        for way in ("rx", "tx")
        for what in ("packets", "bytes", "errors", "dropped")
    }


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = whole.get(name)
    return part if isinstance(part, dict) else {}


def _number(part: Mapping[str, Any], name: str) -> float:
    value = part.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
