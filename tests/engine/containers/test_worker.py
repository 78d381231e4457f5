"""Stops, removals and orphans: each end is reported once, and nothing is left."""

from __future__ import annotations

import asyncio

import pytest

from shim import limits
from shim.errors import Permanent, Transient
from shim.model.container import LABEL_SHIM, Phase
from shim.model.facts import (
    ContainerExited,
    ContainerRemoved,
    ContainerStarted,
    ContainerVanished,
    LaunchAdvanced,
    LaunchCancelled,
)
from shim.model.orders import Remove, RemoveOrphan, Stop
from shim.model.orders import Watch as WatchOrder
from tests.engine.containers.harness import harness
from tests.fakes.clock import timeless

STUBBORN = ["sleep", "stubborn"]


def now() -> float:
    return asyncio.get_running_loop().time()


@timeless
async def test_a_stop_ends_the_container_and_its_end_is_reported_once() -> None:
    async with harness() as h:
        ref = await h.running()
        h.containerizer.carry_out(Stop(ref, 5.0))
        exited = await h.until(ContainerExited, ref)
        assert exited.exit_code == 143
        assert h.engine.boxes[ref.name].stops == [5.0]
        await asyncio.sleep(60)
        assert h.kinds(ref).count("ContainerExited") == 1
        assert h.containerizer.busy == h.containerizer.watched == 0


@timeless
async def test_a_container_is_killed_after_the_grace_period() -> None:
    async with harness() as h:
        ref = await h.running(command=STUBBORN)
        began = now()
        h.containerizer.carry_out(Stop(ref, 30.0))
        exited = await h.until(ContainerExited, ref)
        assert exited.exit_code == 137
        assert now() - began == pytest.approx(30, abs=1)


@timeless
async def test_a_second_stop_replaces_the_grace_of_the_first() -> None:
    async with harness() as h:
        ref = await h.running(command=STUBBORN)
        h.containerizer.carry_out(Stop(ref, 3600.0))
        await asyncio.sleep(10)
        h.containerizer.carry_out(Stop(ref, 2.0))
        began = now()
        await h.until(ContainerExited, ref)
        assert now() - began < 5
        assert h.engine.boxes[ref.name].stops == [3600.0, 2.0]
        await h.wait_idle()


@timeless
@pytest.mark.parametrize("verb", ["stop", "inspect"])
async def test_a_stop_that_was_not_answered_is_repeated(verb: str) -> None:
    async with harness(watching=False) as h:
        ref = await h.running()
        h.engine.fail(verb, times=3)
        h.containerizer.carry_out(Stop(ref, 5.0))
        exited = await h.until(ContainerExited, ref)
        assert exited.exit_code == 143


@timeless
async def test_a_stop_waits_for_an_endpoint_that_is_away() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.away = True
        h.containerizer.carry_out(Stop(ref, 5.0))
        await asyncio.sleep(3600)
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]
        h.engine.away = False
        await h.until(ContainerExited, ref)


@timeless
async def test_a_container_that_still_runs_after_a_stop_is_stopped_again() -> None:
    async with harness() as h:
        ref = await h.running()
        stop = h.engine.stop
        asked = []

        async def deaf(name: str, grace: float) -> None:
            asked.append(grace)
            if len(asked) > 2:
                await stop(name, grace)

        h.engine.stop = deaf
        h.containerizer.carry_out(Stop(ref, 1.0))
        await h.until(ContainerExited, ref)
        assert asked == [1.0, 1.0, 1.0]


@timeless
async def test_a_stop_of_a_container_that_is_gone_reports_it_as_vanished() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.destroy(ref.name, silently=True)
        h.containerizer.carry_out(Stop(ref, 5.0))
        await h.until(ContainerVanished, ref)
        await asyncio.sleep(60)
        assert h.kinds(ref).count("ContainerVanished") == 1


@timeless
async def test_a_stop_of_a_container_that_was_not_watched_is_answered() -> None:
    """After a restart, for example."""
    async with harness() as h:
        ref = h.ref()
        h.engine.add(ref.name, h.labels(ref))
        h.containerizer.carry_out(Stop(ref, 5.0))
        exited = await h.until(ContainerExited, ref)
        assert exited.exit_code == 143


@timeless
async def test_the_end_is_reported_even_if_the_stop_call_hangs() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.hold("stop")
        h.containerizer.carry_out(Stop(ref, 5.0))
        await asyncio.sleep(1)
        h.engine.end(ref.name, 9)
        exited = await h.until(ContainerExited, ref, seconds=5)
        assert exited.exit_code == 9
        h.containerizer.carry_out(Remove(ref))
        await h.until(ContainerRemoved, ref, seconds=5)
        assert h.kinds(ref)[2:] == ["ContainerExited", "ContainerRemoved"]
        assert h.engine.boxes == {}


@timeless
async def test_a_stop_is_not_repeated_after_the_end_was_reported() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.fail("stop", times=1000)
        h.containerizer.carry_out(Stop(ref, 5.0))
        await asyncio.sleep(100)
        h.engine.end(ref.name, 9)
        await h.wait_idle()
        assert h.kinds(ref)[2:] == ["ContainerExited"]


@timeless
async def test_a_stop_during_a_launch_comes_after_it() -> None:
    async with harness() as h:
        held = h.engine.hold("create")
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(Stop(ref, 5.0))
        held.set()
        await h.until(ContainerExited, ref)
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted", "ContainerExited"]


@timeless
async def test_stops_take_no_slot() -> None:
    async with harness(max_inflight=2) as h:
        refs = [await h.running(f"task-{n}", STUBBORN) for n in range(200)]
        began = now()
        for ref in refs:
            h.containerizer.carry_out(Stop(ref, 30.0))
        for ref in refs:
            await h.until(ContainerExited, ref)
        assert now() - began < 40


# --- removal ------------------------------------------------------------------------------


@timeless
async def test_a_removal_is_repeated_until_it_is_done() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.fail("remove", times=4)
        h.engine.fail("remove", Permanent("device or resource busy"), times=4)
        h.containerizer.carry_out(Remove(ref))
        await h.until(ContainerRemoved, ref)
        assert h.engine.boxes == {}
        await asyncio.sleep(60)
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted", "ContainerRemoved"]


@timeless
async def test_removing_a_container_that_is_gone_succeeds() -> None:
    async with harness() as h:
        ref = h.ref()
        h.containerizer.carry_out(Remove(ref))
        await h.until(ContainerRemoved, ref)


@timeless
async def test_a_removal_waits_for_its_delay_without_an_asyncio_task() -> None:
    async with harness() as h:
        ref = await h.running(command=["exit", "0"])
        await h.wait_idle()
        before, began = len(asyncio.all_tasks()), now()
        h.containerizer.carry_out(Remove(ref, 3600.0))
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == before
        await h.until(ContainerRemoved, ref)
        assert now() - began >= 3600


@timeless
async def test_a_new_removal_replaces_the_delay() -> None:
    async with harness() as h:
        ref = await h.running(command=["exit", "0"])
        began = now()
        h.containerizer.carry_out(Remove(ref, 3600.0))
        h.containerizer.carry_out(Remove(ref, 10.0))
        await h.until(ContainerRemoved, ref)
        assert now() - began < 20
        await asyncio.sleep(7200)
        assert h.kinds(ref).count("ContainerRemoved") == 1


@timeless
async def test_a_removal_ends_a_launch_that_was_not_cancelled() -> None:
    async with harness() as h:
        h.engine.hold("pull")
        ref = h.launch(image="nginx:alpine")
        await h.until(LaunchAdvanced, ref)
        h.containerizer.carry_out(Remove(ref))
        await h.until(ContainerRemoved, ref)
        assert h.kinds(ref)[1:] == ["LaunchCancelled", "ContainerRemoved"]
        assert isinstance(h.of(ref)[-2], LaunchCancelled)


@timeless
async def test_a_removal_during_a_start_waits_for_its_answer() -> None:
    async with harness() as h:
        held = h.engine.hold("start")
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(Remove(ref))
        await asyncio.sleep(30)
        held.set()
        await h.until(ContainerRemoved, ref)
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted", "ContainerRemoved"]
        assert h.engine.boxes == {}


@timeless
async def test_removals_are_served_before_launches() -> None:
    async with harness(max_inflight=1) as h:
        old = await h.running("old")
        held = h.engine.hold("create")
        h.launch("first")
        await asyncio.sleep(1)
        later = [h.launch(f"later-{n}") for n in range(20)]
        await asyncio.sleep(1)
        h.containerizer.carry_out(Remove(old))
        held.set()
        await h.until(ContainerRemoved, old)
        assert all("ContainerStarted" not in h.kinds(ref) for ref in later)


# --- orphans ------------------------------------------------------------------------------


@timeless
async def test_an_orphan_is_stopped_and_removed() -> None:
    async with harness() as h:
        box = h.engine.add("mesos-orphan", {LABEL_SHIM: "fake"})
        h.engine.fail("stop", times=2)
        h.engine.fail("remove", times=2)
        h.containerizer.carry_out(RemoveOrphan("mesos-orphan"))
        h.containerizer.carry_out(RemoveOrphan("mesos-orphan"))
        await asyncio.sleep(60)
        assert set(box.stops) == {limits.ORPHAN_GRACE}
        assert h.engine.boxes == {}
        assert h.facts == []


@timeless
async def test_an_orphan_that_is_gone_is_not_asked_for_again() -> None:
    async with harness() as h:
        h.containerizer.carry_out(RemoveOrphan("mesos-missing"))
        await asyncio.sleep(60)
        assert h.engine.calls["stop"] == 1


# --- after a restart ----------------------------------------------------------------------


@timeless
async def test_an_adopted_container_is_watched() -> None:
    async with harness() as h:
        refs = [h.ref(f"task-{n}") for n in range(100)]
        for ref in refs:
            h.engine.add(ref.name, h.labels(ref))
            h.containerizer.carry_out(WatchOrder(ref))
        await asyncio.sleep(1)
        assert h.containerizer.watched == 100
        assert h.engine.calls["inspect"] == 0
        h.engine.end(refs[0].name, 3)
        exited = await h.until(ContainerExited, refs[0], seconds=1)
        assert exited.exit_code == 3


@timeless
async def test_the_end_of_a_container_before_its_adoption_is_found_at_once() -> None:
    async with harness() as h:
        ref = h.ref()
        h.engine.add(ref.name, h.labels(ref), Phase.EXITED).exit_code = 3
        h.containerizer.carry_out(WatchOrder(ref))
        exited = await h.until(ContainerExited, ref, seconds=1)
        assert exited.exit_code == 3


@timeless
async def test_a_failed_launch_is_watched_no_longer() -> None:
    async with harness() as h:
        h.engine.fail("start", Permanent("no"))
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(Remove(ref))
        await h.until(ContainerRemoved, ref)
        h.engine.fail("start", Transient("x"), after=True)
        again = h.launch("again")
        await h.until(ContainerStarted, again)
        assert h.containerizer.watched == 1
