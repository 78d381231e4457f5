"""Stops, removals and orphans: ended once, told once, nothing left, whatever goes wrong."""

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
from shim.protos.mesos_pb2 import TaskInfo
from tests.engine.containers.harness import harness
from tests.fakes.clock import timeless

STUBBORN = ["sleep", "stubborn"]


def now() -> float:
    return asyncio.get_running_loop().time()


@timeless
async def test_a_stop_ends_it_and_its_end_is_told_once() -> None:
    async with harness() as on:
        ref = await on.running()
        on.containerizer.carry_out(Stop(ref, 5.0))
        exited = await on.until(ContainerExited, ref)
        assert exited.exit_code == 143
        assert on.engine.boxes[ref.name].stops == [5.0]
        await asyncio.sleep(60)
        assert on.kinds(ref).count("ContainerExited") == 1
        assert on.containerizer.busy == on.containerizer.watched == 0


@timeless
async def test_force_comes_after_the_grace() -> None:
    async with harness() as on:
        ref = await on.running(command=STUBBORN)
        began = now()
        on.containerizer.carry_out(Stop(ref, 30.0))
        exited = await on.until(ContainerExited, ref)
        assert exited.exit_code == 137
        assert now() - began == pytest.approx(30, abs=1)


@timeless
async def test_a_second_stop_replaces_the_grace_of_the_first() -> None:
    async with harness() as on:
        ref = await on.running(command=STUBBORN)
        on.containerizer.carry_out(Stop(ref, 3600.0))
        await asyncio.sleep(10)
        on.containerizer.carry_out(Stop(ref, 2.0))
        began = now()
        await on.until(ContainerExited, ref)
        assert now() - began < 5
        assert on.engine.boxes[ref.name].stops == [3600.0, 2.0]
        await on.idle()


@timeless
@pytest.mark.parametrize("verb", ["stop", "inspect"])
async def test_a_stop_that_was_not_answered_is_repeated(verb: str) -> None:
    async with harness(watching=False) as on:
        ref = await on.running()
        on.engine.fail(verb, times=3)
        on.containerizer.carry_out(Stop(ref, 5.0))
        exited = await on.until(ContainerExited, ref)
        assert exited.exit_code == 143


@timeless
async def test_an_endpoint_away_delays_a_stop_and_nothing_is_assumed() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.away = True
        on.containerizer.carry_out(Stop(ref, 5.0))
        await asyncio.sleep(3600)
        assert on.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]
        on.engine.away = False
        await on.until(ContainerExited, ref)


@timeless
async def test_one_that_runs_although_it_was_stopped_is_stopped_again() -> None:
    async with harness() as on:
        ref = await on.running()
        stop = on.engine.stop
        asked = []

        async def deaf(name: str, grace: float) -> None:
            asked.append(grace)
            if len(asked) > 2:
                await stop(name, grace)

        on.engine.stop = deaf  # type: ignore[method-assign]
        on.containerizer.carry_out(Stop(ref, 1.0))
        await on.until(ContainerExited, ref)
        assert asked == [1.0, 1.0, 1.0]


@timeless
async def test_a_stop_of_one_that_is_gone_says_so() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.destroy(ref.name, silently=True)
        on.containerizer.carry_out(Stop(ref, 5.0))
        await on.until(ContainerVanished, ref)
        await asyncio.sleep(60)
        assert on.kinds(ref).count("ContainerVanished") == 1


@timeless
async def test_a_stop_of_one_never_watched_is_answered() -> None:
    """After a restart, for example."""
    async with harness() as on:
        ref = on.ref()
        on.engine.add(ref.name, on.labels(ref))
        on.containerizer.carry_out(Stop(ref, 5.0))
        exited = await on.until(ContainerExited, ref)
        assert exited.exit_code == 143


@timeless
async def test_the_end_is_told_even_if_the_stop_call_hangs() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.hold("stop")
        on.containerizer.carry_out(Stop(ref, 5.0))
        await asyncio.sleep(1)
        on.engine.end(ref.name, 9)
        exited = await on.until(ContainerExited, ref, seconds=5)
        assert exited.exit_code == 9
        on.containerizer.carry_out(Remove(ref))
        await on.until(ContainerRemoved, ref, seconds=5)
        assert on.kinds(ref)[2:] == ["ContainerExited", "ContainerRemoved"]
        assert on.engine.boxes == {}


@timeless
async def test_a_stop_that_is_repeated_leaves_off_when_the_end_was_told() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.fail("stop", times=1000)
        on.containerizer.carry_out(Stop(ref, 5.0))
        await asyncio.sleep(100)
        on.engine.end(ref.name, 9)
        await on.idle()
        assert on.kinds(ref)[2:] == ["ContainerExited"]


@timeless
async def test_a_stop_during_a_launch_comes_after_it() -> None:
    async with harness() as on:
        held = on.engine.hold("create")
        ref = on.launch()
        await asyncio.sleep(1)
        on.containerizer.carry_out(Stop(ref, 5.0))
        held.set()
        await on.until(ContainerExited, ref)
        assert on.kinds(ref) == ["LaunchAdvanced", "ContainerStarted", "ContainerExited"]


@timeless
async def test_thousands_stop_at_once_without_taking_turns() -> None:
    async with harness(max_inflight=2) as on:
        refs = [await on.running(f"task-{n}", STUBBORN) for n in range(200)]
        began = now()
        for ref in refs:
            on.containerizer.carry_out(Stop(ref, 30.0))
        for ref in refs:
            await on.until(ContainerExited, ref)
        assert now() - began < 40


# --- removal ------------------------------------------------------------------------------


@timeless
async def test_a_removal_is_repeated_until_it_is_done() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.fail("remove", times=4)
        on.engine.fail("remove", Permanent("device or resource busy"), times=4)
        on.containerizer.carry_out(Remove(ref))
        await on.until(ContainerRemoved, ref)
        assert on.engine.boxes == {}
        await asyncio.sleep(60)
        assert on.kinds(ref) == ["LaunchAdvanced", "ContainerStarted", "ContainerRemoved"]


@timeless
async def test_removing_what_is_gone_is_done() -> None:
    async with harness() as on:
        ref = on.ref()
        on.containerizer.carry_out(Remove(ref))
        await on.until(ContainerRemoved, ref)


@timeless
async def test_a_removal_waits_for_its_delay_without_an_asyncio_task() -> None:
    async with harness() as on:
        ref = await on.running(command=["exit", "0"])
        await on.idle()
        before, began = len(asyncio.all_tasks()), now()
        on.containerizer.carry_out(Remove(ref, 3600.0))
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == before
        await on.until(ContainerRemoved, ref)
        assert now() - began >= 3600


@timeless
async def test_a_new_removal_replaces_the_delay() -> None:
    async with harness() as on:
        ref = await on.running(command=["exit", "0"])
        began = now()
        on.containerizer.carry_out(Remove(ref, 3600.0))
        on.containerizer.carry_out(Remove(ref, 10.0))
        await on.until(ContainerRemoved, ref)
        assert now() - began < 20
        await asyncio.sleep(7200)
        assert on.kinds(ref).count("ContainerRemoved") == 1


@timeless
async def test_a_removal_ends_a_launch_that_was_not_cancelled() -> None:
    async with harness() as on:
        on.engine.hold("pull")
        ref = on.launch(image="nginx:alpine")
        await on.until(LaunchAdvanced, ref)
        on.containerizer.carry_out(Remove(ref))
        await on.until(ContainerRemoved, ref)
        assert on.kinds(ref)[1:] == ["LaunchCancelled", "ContainerRemoved"]
        assert isinstance(on.of(ref)[-2], LaunchCancelled)


@timeless
async def test_a_removal_during_a_start_waits_for_its_answer() -> None:
    async with harness() as on:
        held = on.engine.hold("start")
        ref = on.launch()
        await asyncio.sleep(1)
        on.containerizer.carry_out(Remove(ref))
        await asyncio.sleep(30)
        held.set()
        await on.until(ContainerRemoved, ref)
        assert on.kinds(ref) == ["LaunchAdvanced", "ContainerStarted", "ContainerRemoved"]
        assert on.engine.boxes == {}


@timeless
async def test_ends_are_served_before_launches() -> None:
    async with harness(max_inflight=1) as on:
        old = await on.running("old")
        held = on.engine.hold("create")
        on.launch("first")
        await asyncio.sleep(1)
        later = [on.launch(f"later-{n}") for n in range(20)]
        await asyncio.sleep(1)
        on.containerizer.carry_out(Remove(old))
        held.set()
        await on.until(ContainerRemoved, old)
        assert all("ContainerStarted" not in on.kinds(ref) for ref in later)


# --- orphans ------------------------------------------------------------------------------


@timeless
async def test_an_orphan_is_stopped_and_removed() -> None:
    async with harness() as on:
        box = on.engine.add("mesos-orphan", {LABEL_SHIM: "fake"})
        on.engine.fail("stop", times=2)
        on.engine.fail("remove", times=2)
        on.containerizer.carry_out(RemoveOrphan("mesos-orphan"))
        on.containerizer.carry_out(RemoveOrphan("mesos-orphan"))
        await asyncio.sleep(60)
        assert set(box.stops) == {limits.ORPHAN_GRACE}
        assert on.engine.boxes == {}
        assert on.facts == []


@timeless
async def test_an_orphan_that_is_gone_is_no_trouble() -> None:
    async with harness() as on:
        on.containerizer.carry_out(RemoveOrphan("mesos-nobody"))
        await asyncio.sleep(60)
        assert on.engine.calls["stop"] == 1


# --- after a restart ----------------------------------------------------------------------


@timeless
async def test_a_container_taken_over_is_watched() -> None:
    async with harness() as on:
        refs = [on.ref(f"task-{n}") for n in range(100)]
        for ref in refs:
            on.engine.add(ref.name, on.labels(ref))
            on.containerizer.carry_out(WatchOrder(ref, TaskInfo()))
        await asyncio.sleep(1)
        assert on.containerizer.watched == 100
        assert on.engine.calls["inspect"] == 0
        on.engine.end(refs[0].name, 3)
        exited = await on.until(ContainerExited, refs[0], seconds=1)
        assert exited.exit_code == 3


@timeless
async def test_one_that_ended_before_it_was_taken_over_is_found_at_once() -> None:
    async with harness() as on:
        ref = on.ref()
        on.engine.add(ref.name, on.labels(ref), Phase.EXITED).exit_code = 3
        on.containerizer.carry_out(WatchOrder(ref, TaskInfo()))
        exited = await on.until(ContainerExited, ref, seconds=1)
        assert exited.exit_code == 3


@timeless
async def test_a_failed_launch_forgets_what_it_expected() -> None:
    async with harness() as on:
        on.engine.fail("start", Permanent("no"))
        ref = on.launch()
        await asyncio.sleep(1)
        on.containerizer.carry_out(Remove(ref))
        await on.until(ContainerRemoved, ref)
        on.engine.fail("start", Transient("x"), after=True)
        again = on.launch("again")
        await on.until(ContainerStarted, again)
        assert on.containerizer.watched == 1
