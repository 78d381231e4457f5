"""Launches whose create takes minutes: parked, called back, cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shim import limits
from shim.engine.api import ContainerSpec
from shim.errors import Ambiguous, InProgress
from shim.model.container import Phase, Ref
from shim.model.facts import ContainerRemoved, ContainerStarted, LaunchCancelled, LaunchFailed
from shim.model.orders import CancelLaunch, Remove
from tests.engine.containers.harness import LAUNCH_TIMEOUT, harness
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine


class Datacenter(FakeEngine):
    """An engine that calls back: it creates nothing until ``finish``."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[str, Callable[[], None]] = {}
        self.asked: list[str] = []
        self._ended: dict[str, Exception | None] = {}

    async def create_or_notify(self, spec: ContainerSpec, on_ready: Callable[[], None]) -> str:
        self.asked.append(spec.name)
        if spec.name not in self._ended:
            self.waiting[spec.name] = on_ready
            raise InProgress
        if (error := self._ended.pop(spec.name)) is not None:
            raise error
        return await super().create(spec)

    async def provisioning(self, ref: Ref) -> None:
        while ref.name not in self.waiting:
            await asyncio.sleep(0.01)

    def finish(self, ref: Ref, error: Exception | None = None) -> None:
        self._ended[ref.name] = error
        self.waiting.pop(ref.name)()


def tasks_of(ref: Ref) -> list[str]:
    return [t.get_name() for t in asyncio.all_tasks() if ref.name in t.get_name()]


@timeless
async def test_a_parked_launch_has_no_asyncio_task_and_goes_on() -> None:
    engine = Datacenter()
    async with harness(engine) as h:
        ref = h.launch()
        await engine.provisioning(ref)
        await asyncio.sleep(1000)
        assert tasks_of(ref) == []
        assert h.containerizer.busy == 1
        engine.finish(ref)
        await h.until(ContainerStarted, ref)
        await h.idle()
        assert engine.boxes[ref.name].starts == 1
        assert engine.asked == [ref.name] * 2
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]


@timeless
async def test_a_parked_launch_keeps_its_slot() -> None:
    engine = Datacenter()
    async with harness(engine, max_inflight=1) as h:
        first, second = h.launch("a"), h.launch("b")
        await engine.provisioning(first)
        await asyncio.sleep(10)
        assert second.name not in engine.waiting
        engine.finish(first)
        await engine.provisioning(second)
        engine.finish(second)
        await h.until(ContainerStarted, second)
        await h.idle()
        third = h.launch("c")
        await engine.provisioning(third)


@timeless
async def test_a_parked_launch_that_is_killed_is_removed_after_its_create() -> None:
    engine = Datacenter()
    async with harness(engine, max_inflight=1) as h:
        ref = h.launch()
        await engine.provisioning(ref)
        h.containerizer.carry_out(CancelLaunch(ref))
        assert h.kinds(ref)[-1] == "LaunchCancelled"
        h.containerizer.carry_out(Remove(ref))
        await asyncio.sleep(100)
        assert tasks_of(ref) == [], "Triton would refuse to remove it while it is provisioned"
        engine.add(ref.name, h.labels(ref), Phase.CREATED)
        engine.finish(ref)
        await h.until(ContainerRemoved, ref)
        await h.idle()
        assert engine.boxes == {}
        assert engine.asked == [ref.name], "the create is not asked for again"
        assert h.kinds(ref) == ["LaunchAdvanced", "LaunchCancelled", "ContainerRemoved"]
        other = h.launch("other")
        await engine.provisioning(other)


@timeless
async def test_failures_are_counted_over_all_callbacks() -> None:
    engine = Datacenter()
    async with harness(engine, max_inflight=1) as h:
        ref = h.launch()
        for _ in range(limits.AMBIGUOUS_ATTEMPTS):
            await engine.provisioning(ref)
            engine.finish(ref, Ambiguous("failed while it was provisioned"))
        failed = await h.until(LaunchFailed, ref)
        assert "failed while it was provisioned" in failed.message
        await h.idle()
        assert len(engine.asked) == 2 * limits.AMBIGUOUS_ATTEMPTS
        await engine.provisioning(h.launch("other"))


@timeless
async def test_a_parked_launch_stays_parked_after_close() -> None:
    engine = Datacenter()
    async with harness(engine) as h:
        ref = h.launch()
        await engine.provisioning(ref)
    engine.finish(ref)
    await asyncio.sleep(1)
    assert engine.boxes == {}
    assert tasks_of(ref) == []
    assert not [fact for fact in h.facts if isinstance(fact, LaunchCancelled | ContainerStarted)]


@timeless
async def test_a_burst_is_begun_in_batches() -> None:
    """Thousands of launches may be ordered at once, and a ping is right behind them."""
    engine = Datacenter()
    async with harness(engine, max_inflight=1000) as h:
        await engine.provisioning(h.launch("first"))
        refs = [h.launch(f"task-{n}") for n in range(10 * limits.LAUNCH_BATCH)]
        assert h.containerizer.busy == len(refs) + 1
        for pauses in range(1, 11):
            await asyncio.sleep(limits.LAUNCH_BATCH_INTERVAL)
            assert len(engine.asked) <= 2 + pauses * limits.LAUNCH_BATCH
        await asyncio.sleep(2 * limits.LAUNCH_BATCH_INTERVAL)
        assert len(engine.asked) == len(refs) + 1


@timeless
async def test_no_launch_begins_during_a_burst_for_a_second_at_most() -> None:
    engine = Datacenter()
    async with harness(engine, max_inflight=1000) as h:
        for number in range(2 * limits.LAUNCH_BURST_INTERVALS):
            for launch in range(limits.LAUNCH_BURST + limits.LAUNCH_BATCH):
                h.launch(f"task-{number}-{launch}")
            await asyncio.sleep(limits.LAUNCH_BATCH_INTERVAL)
            begun = len(engine.asked)
            if number < limits.LAUNCH_BURST_INTERVALS - 2:
                assert begun <= 1 + limits.LAUNCH_BATCH
        assert begun > limits.LAUNCH_BURST_INTERVALS, "and then they begin as usual"


@timeless
async def test_a_queued_launch_that_is_killed_never_begins() -> None:
    engine = FakeEngine()
    async with harness(engine) as h:
        refs = [h.launch(f"task-{n}") for n in range(5 * limits.LAUNCH_BATCH)]
        h.containerizer.carry_out(CancelLaunch(refs[-1]))
        for ref in refs[:-1]:
            await h.until(ContainerStarted, ref)
        await h.idle()
        assert h.kinds(refs[-1]) == ["LaunchCancelled"]
        assert refs[-1].name not in engine.boxes


@timeless
async def test_launches_stay_queued_while_enough_wait_for_a_slot() -> None:
    """A begun launch takes far more memory than an order, and ten thousand may wait."""
    engine = Datacenter()
    async with harness(engine, max_inflight=2) as h:
        refs = [h.launch(f"task-{n}") for n in range(3 * limits.LAUNCHES_WAITING)]
        await asyncio.sleep(100)
        begun = len([ref for ref in refs if tasks_of(ref)])
        assert 0 <= begun - limits.LAUNCHES_WAITING < limits.LAUNCH_BATCH
        assert h.containerizer.waiting == len(refs) - 2
        for ref in refs:
            await engine.provisioning(ref)
            engine.finish(ref)
            await h.until(ContainerStarted, ref)
        await h.idle()
        first_asked = list(dict.fromkeys(engine.asked))
        assert first_asked == [ref.name for ref in refs], "in the order they came"


@timeless
async def test_the_time_in_the_queue_counts_as_waiting() -> None:
    """At an endpoint that answers no call, ten thousand launches time out together."""
    engine = Datacenter()
    async with harness(engine, max_inflight=1) as h:
        held = h.launch("held")
        await engine.provisioning(held)
        engine.away = True
        engine.break_events()
        refs = [h.launch(f"task-{n}") for n in range(3 * limits.LAUNCHES_WAITING)]
        await asyncio.sleep(LAUNCH_TIMEOUT - 60)
        assert not any(h.of(ref) for ref in refs)
        await asyncio.sleep(120)
        assert {h.kinds(ref)[-1] for ref in refs} == {"LaunchFailed"}
        engine.away = False
        engine.finish(held)
        await h.idle()
