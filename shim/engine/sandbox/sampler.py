"""Resource usage of running containers, sampled only while a client reads it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from shim import limits
from shim.engine.api import Engine
from shim.errors import ShimError
from shim.model.container import Ref, Usage

log = logging.getLogger(__name__)


class Sampler:
    """Keeps a sample of each running container, refreshed when it is STATS_AGE seconds old.

    A reader waits at most STATS_TIMEOUT seconds. A slow engine means older samples.
    """

    def __init__(self, engine: Engine, running: Callable[[], Iterable[Ref]]) -> None:
        """``running`` returns the present containers. Needs a running loop."""
        self._engine = engine
        self._running = running
        self._samples: dict[Ref, Usage] = {}
        self._taken_s: dict[Ref, float] = {}
        """When each of the samples was taken, by the monotonic clock."""
        self._task: asyncio.Task[None] | None = None
        self._finished_s = 0.0
        self._under_way: dict[Ref, asyncio.Task[None]] = {}
        """Samples of single containers."""
        self._forget_at = limits.STATS_AT_ONCE
        self._slots = asyncio.Semaphore(limits.STATS_AT_ONCE)

    async def usages(self, refs: Collection[Ref] | None = None) -> Mapping[Ref, Usage]:
        """The last sample of these running containers, or of all. Those without are left out.

        The samples of all are no copy, which would take milliseconds: newer ones appear in it.
        """
        if refs is not None:
            return await self._usages_of(refs)
        if time.monotonic() - self._finished_s > limits.STATS_AGE:
            await self._refresh()
        return MappingProxyType(self._samples)

    async def _usages_of(self, refs: Collection[Ref]) -> Mapping[Ref, Usage]:
        self._forget_ended()
        oldest = time.monotonic() - limits.STATS_AGE_OF_ONE
        for ref in refs:
            if self._taken_s.get(ref, 0.0) < oldest and ref not in self._under_way:
                sampling = asyncio.create_task(self._sample_one(ref), name="stats of one")
                self._under_way[ref] = sampling
        if waiting := {self._under_way[ref] for ref in refs if ref in self._under_way}:
            await asyncio.wait(waiting, timeout=limits.STATS_TIMEOUT)
        return {ref: self._samples[ref] for ref in refs if ref in self._samples}

    def _forget_ended(self) -> None:
        """Drop samples of ended containers, at times: a look at all running ones takes long."""
        if len(self._samples) >= self._forget_at:
            running = set(self._running())
            self._keep({ref: each for ref, each in self._samples.items() if ref in running})
            self._forget_at = 2 * len(self._samples) + limits.STATS_AT_ONCE

    def _keep(self, samples: dict[Ref, Usage]) -> None:
        self._samples = samples
        self._taken_s = {ref: self._taken_s[ref] for ref in samples}

    async def _sample_one(self, ref: Ref) -> None:
        try:
            async with self._slots:
                await self._sample(ref)
        finally:
            del self._under_way[ref]

    async def _refresh(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._sample_all(), name="stats")
        await asyncio.wait({self._task}, timeout=limits.STATS_TIMEOUT)

    async def _sample_all(self) -> None:
        """Sample every container once, the oldest sample first."""
        kept: dict[Ref, Usage] = {}
        taken_s: dict[Ref, float] = {}
        ages: list[tuple[float, Ref]] = []
        for number, ref in enumerate(self._running()):
            if number % limits.STATS_SLICE == 0:
                await asyncio.sleep(0)
            if (sample := self._samples.get(ref)) is not None:
                kept[ref], taken_s[ref] = sample, self._taken_s[ref]
            ages.append((taken_s.get(ref, 0.0), ref))
        self._samples, self._taken_s = kept, taken_s
        ages.sort(key=itemgetter(0))
        due = iter([ref for _, ref in ages])
        async with asyncio.TaskGroup() as group:
            for _ in range(limits.STATS_AT_ONCE):
                group.create_task(self._sample_next(due))
        self._finished_s = time.monotonic()

    async def _sample_next(self, due: Iterable[Ref]) -> None:
        for ref in due:
            await self._sample(ref)
            await asyncio.sleep(limits.STATS_PAUSE)

    async def _sample(self, ref: Ref) -> None:
        try:
            answer = await self._engine.stats(ref.name)
            self._samples[ref] = usage_of(answer, time.time())
            self._taken_s[ref] = time.monotonic()
        except ShimError as error:
            # The container has ended, or the endpoint is away: the last sample stays.
            log.debug("no statistics of %s: %s", ref, error)

    async def close(self) -> None:
        sampling = [*self._under_way.values(), *([self._task] if self._task else [])]
        for task in sampling:
            task.cancel()
        if sampling:
            await asyncio.wait(sampling)


def usage_of(answer: Mapping[str, Any], now: float) -> Usage:
    """Return the usage in an answer of ``GET /containers/{id}/stats``. Missing values are 0.

    Triton gives no separate system time: all of it counts as the user's.
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
