"""Launches whose create takes minutes: parked, called back, cancelled meanwhile."""

from __future__ import annotations

import asyncio

from shim import limits
from shim.errors import Ambiguous
from shim.model.container import Phase
from shim.model.facts import ContainerRemoved, ContainerStarted, LaunchCancelled, LaunchFailed
from shim.model.orders import CancelLaunch, Remove
from tests.engine.containers.harness import harness, tasks_of
from tests.fakes.clock import timeless
from tests.fakes.engine import NotifyingEngine


@timeless
async def test_a_parked_launch_has_no_asyncio_task_and_goes_on() -> None:
    engine = NotifyingEngine()
    async with harness(engine) as h:
        ref = h.launch()
        await engine.create_asked(ref)
        await asyncio.sleep(1000)
        assert tasks_of(ref) == []
        assert h.containerizer.busy == 1
        engine.finish_create(ref)
        await h.until(ContainerStarted, ref)
        await h.wait_idle()
        assert engine.boxes[ref.name].starts == 1
        assert engine.creates_asked == [ref.name] * 2
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]


@timeless
async def test_a_parked_launch_keeps_its_slot() -> None:
    engine = NotifyingEngine()
    async with harness(engine, max_inflight=1) as h:
        first, second = h.launch("a"), h.launch("b")
        await engine.create_asked(first)
        await asyncio.sleep(10)
        assert second.name not in engine.creates_pending
        engine.finish_create(first)
        await engine.create_asked(second)
        engine.finish_create(second)
        await h.until(ContainerStarted, second)
        await h.wait_idle()
        third = h.launch("c")
        await engine.create_asked(third)


@timeless
async def test_a_parked_launch_that_is_killed_is_removed_after_its_create() -> None:
    engine = NotifyingEngine()
    async with harness(engine, max_inflight=1) as h:
        ref = h.launch()
        await engine.create_asked(ref)
        h.containerizer.carry_out(CancelLaunch(ref))
        assert h.kinds(ref)[-1] == "LaunchCancelled"
        h.containerizer.carry_out(Remove(ref))
        await asyncio.sleep(100)
        assert tasks_of(ref) == [], "Triton would refuse to remove it while it is provisioned"
        engine.add(ref.name, h.labels(ref), Phase.CREATED)
        engine.finish_create(ref)
        await h.until(ContainerRemoved, ref)
        await h.wait_idle()
        assert engine.boxes == {}
        assert engine.creates_asked == [ref.name], "the create is not asked for again"
        assert h.kinds(ref) == ["LaunchAdvanced", "LaunchCancelled", "ContainerRemoved"]
        other = h.launch("other")
        await engine.create_asked(other)


@timeless
async def test_failures_are_counted_over_all_callbacks() -> None:
    engine = NotifyingEngine()
    async with harness(engine, max_inflight=1) as h:
        ref = h.launch()
        for _ in range(limits.AMBIGUOUS_ATTEMPTS):
            await engine.create_asked(ref)
            engine.finish_create(ref, Ambiguous("failed while it was provisioned"))
        failed = await h.until(LaunchFailed, ref)
        assert "failed while it was provisioned" in failed.message
        await h.wait_idle()
        assert len(engine.creates_asked) == 2 * limits.AMBIGUOUS_ATTEMPTS
        await engine.create_asked(h.launch("other"))


@timeless
async def test_a_parked_launch_stays_parked_after_close() -> None:
    engine = NotifyingEngine()
    async with harness(engine) as h:
        ref = h.launch()
        await engine.create_asked(ref)
    engine.finish_create(ref)
    await asyncio.sleep(1)
    assert engine.boxes == {}
    assert tasks_of(ref) == []
    assert not [fact for fact in h.facts if isinstance(fact, LaunchCancelled | ContainerStarted)]
