"""Launches whose create takes minutes: put aside, called back, given up meanwhile."""

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
    """Creates nothing until ``finish``."""

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
async def test_nothing_waits_for_a_create_put_aside_and_it_goes_on() -> None:
    engine = Datacenter()
    async with harness(engine) as on:
        ref = on.launch()
        await engine.provisioning(ref)
        await asyncio.sleep(1000)
        assert tasks_of(ref) == []
        assert on.containerizer.busy == 1
        engine.finish(ref)
        await on.until(ContainerStarted, ref)
        await on.idle()
        assert engine.boxes[ref.name].starts == 1
        assert engine.asked == [ref.name] * 2
        assert on.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]


@timeless
async def test_what_is_put_aside_keeps_its_turn() -> None:
    engine = Datacenter()
    async with harness(engine, max_inflight=1) as on:
        first, second = on.launch("a"), on.launch("b")
        await engine.provisioning(first)
        await asyncio.sleep(10)
        assert second.name not in engine.waiting
        engine.finish(first)
        await engine.provisioning(second)
        engine.finish(second)
        await on.until(ContainerStarted, second)
        await on.idle()
        third = on.launch("c")
        await engine.provisioning(third)


@timeless
async def test_killed_while_put_aside() -> None:
    engine = Datacenter()
    async with harness(engine, max_inflight=1) as on:
        ref = on.launch()
        await engine.provisioning(ref)
        on.containerizer.carry_out(CancelLaunch(ref))
        assert on.kinds(ref)[-1] == "LaunchCancelled"
        on.containerizer.carry_out(Remove(ref))
        await asyncio.sleep(100)
        assert tasks_of(ref) == [], "Triton would refuse to remove it while it is provisioned"
        engine.add(ref.name, on.labels(ref), Phase.CREATED)
        engine.finish(ref)
        await on.until(ContainerRemoved, ref)
        await on.idle()
        assert engine.boxes == {}
        assert engine.asked == [ref.name], "not asked for again"
        assert on.kinds(ref) == ["LaunchAdvanced", "LaunchCancelled", "ContainerRemoved"]
        other = on.launch("other")
        await engine.provisioning(other)


@timeless
async def test_failures_are_counted_over_all_callbacks() -> None:
    engine = Datacenter()
    async with harness(engine, max_inflight=1) as on:
        ref = on.launch()
        for _ in range(limits.AMBIGUOUS_ATTEMPTS):
            await engine.provisioning(ref)
            engine.finish(ref, Ambiguous("failed while it was provisioned"))
        failed = await on.until(LaunchFailed, ref)
        assert "failed while it was provisioned" in failed.message
        await on.idle()
        assert len(engine.asked) == 2 * limits.AMBIGUOUS_ATTEMPTS
        await engine.provisioning(on.launch("other"))


@timeless
async def test_closed_while_put_aside() -> None:
    engine = Datacenter()
    async with harness(engine) as on:
        ref = on.launch()
        await engine.provisioning(ref)
    engine.finish(ref)
    await asyncio.sleep(1)
    assert engine.boxes == {}
    assert tasks_of(ref) == []
    assert not [fact for fact in on.facts if isinstance(fact, LaunchCancelled | ContainerStarted)]


@timeless
async def test_a_burst_is_begun_a_few_at_a_time() -> None:
    """Thousands of launches may be ordered at once, and a ping is right behind them."""
    engine = Datacenter()
    async with harness(engine, max_inflight=1000) as on:
        await engine.provisioning(on.launch("first"))
        refs = [on.launch(f"task-{n}") for n in range(10 * limits.LAUNCH_BATCH)]
        assert on.containerizer.busy == len(refs) + 1
        for pauses in range(1, 11):
            await asyncio.sleep(limits.LAUNCH_BATCH_INTERVAL)
            assert len(engine.asked) <= 2 + pauses * limits.LAUNCH_BATCH
        await asyncio.sleep(2 * limits.LAUNCH_BATCH_INTERVAL)
        assert len(engine.asked) == len(refs) + 1


@timeless
async def test_while_launches_pour_in_they_are_only_taken_for_a_second_at_most() -> None:
    engine = Datacenter()
    async with harness(engine, max_inflight=1000) as on:
        for number in range(2 * limits.LAUNCH_BURST_INTERVALS):
            for launch in range(limits.LAUNCH_BURST + limits.LAUNCH_BATCH):
                on.launch(f"task-{number}-{launch}")
            await asyncio.sleep(limits.LAUNCH_BATCH_INTERVAL)
            begun = len(engine.asked)
            if number < limits.LAUNCH_BURST_INTERVALS - 2:
                assert begun <= 1 + limits.LAUNCH_BATCH
        assert begun > limits.LAUNCH_BURST_INTERVALS, "and then begun as ever"


@timeless
async def test_killed_before_it_was_begun() -> None:
    engine = FakeEngine()
    async with harness(engine) as on:
        refs = [on.launch(f"task-{n}") for n in range(5 * limits.LAUNCH_BATCH)]
        on.containerizer.carry_out(CancelLaunch(refs[-1]))
        for ref in refs[:-1]:
            await on.until(ContainerStarted, ref)
        await on.idle()
        assert on.kinds(refs[-1]) == ["LaunchCancelled"]
        assert refs[-1].name not in engine.boxes


@timeless
async def test_launches_beyond_those_that_soon_get_a_turn_are_not_begun() -> None:
    """A begun one takes far more memory than an order, and ten thousand may wait."""
    engine = Datacenter()
    async with harness(engine, max_inflight=2) as on:
        refs = [on.launch(f"task-{n}") for n in range(3 * limits.LAUNCHES_WAITING)]
        await asyncio.sleep(100)
        begun = len([ref for ref in refs if tasks_of(ref)])
        assert 0 <= begun - limits.LAUNCHES_WAITING < limits.LAUNCH_BATCH
        assert on.containerizer.waiting == len(refs) - 2
        for ref in refs:
            await engine.provisioning(ref)
            engine.finish(ref)
            await on.until(ContainerStarted, ref)
        await on.idle()
        first_asked = list(dict.fromkeys(engine.asked))
        assert first_asked == [ref.name for ref in refs], "in the order they came"


@timeless
async def test_what_was_not_begun_has_waited_all_the_same() -> None:
    """With an endpoint that answers nobody, ten thousand launches are given up together."""
    engine = Datacenter()
    async with harness(engine, max_inflight=1) as on:
        held = on.launch("held")
        await engine.provisioning(held)
        engine.away = True
        engine.break_events()
        refs = [on.launch(f"task-{n}") for n in range(3 * limits.LAUNCHES_WAITING)]
        await asyncio.sleep(LAUNCH_TIMEOUT - 60)
        assert not any(on.of(ref) for ref in refs)
        await asyncio.sleep(120)
        assert {on.kinds(ref)[-1] for ref in refs} == {"LaunchFailed"}
        engine.away = False
        engine.finish(held)
        await on.idle()
