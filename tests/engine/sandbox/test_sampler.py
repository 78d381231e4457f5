from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shim import limits
from shim.engine.sandbox.sampler import Sampler, usage_of
from shim.errors import Transient
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from tests.support.wait import until


class Engine:
    def __init__(self, took: float = 0.0) -> None:
        self.took, self.asked, self.most_at_once, self.running = took, 0, 0, 0
        self.away = False

    async def stats(self, name: str) -> dict[str, Any]:
        self.asked += 1
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        await asyncio.sleep(self.took)
        self.running -= 1
        if self.away:
            raise Transient("away")
        return {"memory_stats": {"usage": self.asked}}


def refs(count: int) -> list[Ref]:
    keys = [TaskKey(FrameworkId("f"), TaskId(str(n))) for n in range(count)]
    return [Ref(key, ContainerId(f"c{key.task_id}")) for key in keys]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STATS_PAUSE", 0.0)


async def test_the_engine_is_asked_only_on_demand_and_once_for_many_readers() -> None:
    engine, there = Engine(), refs(10)
    sampler = Sampler(engine, lambda: there)  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    assert engine.asked == 0
    answers = await asyncio.gather(*(sampler.usages() for _ in range(20)))
    assert engine.asked == 10
    assert all(set(answer) == set(there) for answer in answers)


async def test_old_samples_are_returned_while_new_ones_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "STATS_TIMEOUT", 0.02)
    monkeypatch.setattr(limits, "STATS_AGE", 0.0)
    engine, there = Engine(took=0.1), refs(2)
    sampler = Sampler(engine, lambda: there)  # type: ignore[arg-type]

    async def all_are_sampled() -> bool:
        return set(await sampler.usages()) == set(there)

    assert await sampler.usages() == {}
    await until(all_are_sampled, "both samples")
    engine.away = True
    await asyncio.sleep(0.15)
    assert set(await sampler.usages()) == set(there)
    there.pop()
    await until(all_are_sampled, "the sample of the one that is left")
    await sampler.close()


async def test_concurrent_samples_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STATS_AT_ONCE", 3)
    engine, there = Engine(took=0.001), refs(30)
    assert len(await Sampler(engine, lambda: there).usages()) == 30  # type: ignore[arg-type]
    assert engine.most_at_once == 3


def test_usage_of_either_cgroup_version() -> None:
    cpu = {"cpu_usage": {"usage_in_usermode": 2_500_000_000, "usage_in_kernelmode": 5e8}}
    old = {"cpu_stats": cpu, "memory_stats": {"usage": 1000, "stats": {"rss": 400}}}
    new = {"cpu_stats": cpu, "memory_stats": {"usage": 1000, "stats": {"inactive_file": 300}}}
    assert usage_of(old, 1.0).mem_rss_bytes == 400
    assert usage_of(new, 1.0).mem_rss_bytes == 700
    assert usage_of(new, 1.0).cpus_user_time_secs == 2.5
    assert usage_of(new, 1.0).cpus_system_time_secs == 0.5


def test_networks_are_summed_and_missing_values_are_zero() -> None:
    two = {"networks": {"eth0": {"rx_bytes": 1, "tx_errors": 2}, "eth1": {"rx_bytes": 10}}}
    assert usage_of(two, 1.0).network["rx_bytes"] == 11
    assert usage_of(two, 1.0).network["tx_errors"] == 2
    no_values: dict[str, Any] = {"memory_stats": None, "networks": None, "cpu_stats": []}
    samples: tuple[dict[str, Any], ...] = ({}, no_values)
    for odd in samples:
        assert usage_of(odd, 1.0).mem_rss_bytes == 0
        assert not usage_of(odd, 1.0).network


async def test_named_containers_are_sampled_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, there = Engine(took=0.01), refs(100)
    sampler = Sampler(engine, lambda: there)  # type: ignore[arg-type]
    answers = await asyncio.gather(*(sampler.usages(there[:2]) for _ in range(20)))
    assert engine.asked == 2
    assert all(set(answer) == set(there[:2]) for answer in answers)
    assert set(await sampler.usages(there[1:3])) == set(there[1:3])
    assert engine.asked == 3, "the sample of the second is new enough"
    monkeypatch.setattr(limits, "STATS_TIMEOUT", 0.0)
    engine.took = 5.0
    assert await sampler.usages([there[50]]) == {}, "a reader does not wait for a slow engine"
    await sampler.close()


async def test_samples_of_ended_containers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STATS_AT_ONCE", 4)
    engine, there = Engine(), refs(30)
    sampler = Sampler(engine, lambda: there)  # type: ignore[arg-type]
    ended = there[:10]
    await sampler.usages(ended)
    del there[:10]
    for ref in list(there):
        await sampler.usages([ref])
    assert not set(ended) & set(sampler._samples)
