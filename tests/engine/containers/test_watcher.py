"""Watching: no end is missed, none is invented."""

from __future__ import annotations

import asyncio

import pytest

from shim import limits
from shim.engine.containers.watcher import ContainerWatcher, not_running
from shim.errors import Transient
from shim.model.container import LABEL_CONTAINER, LABEL_SHIM, Container, Phase, Ref
from shim.model.facts import ContainerExited, ContainerVanished
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from tests.engine.containers.harness import harness
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine

SOON = limits.RELIST_INTERVAL / 2
NEXT_LIST = limits.RELIST_INTERVAL + 1


@timeless
async def test_an_event_tells_within_moments() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.end(ref.name, 137, oom_killed=True, error="out of memory")
        exited = await on.until(ContainerExited, ref, seconds=SOON)
        assert exited == ContainerExited(ref, 137, True, "out of memory")
        assert on.containerizer.watched == 0


@timeless
async def test_an_unknown_exit_code_stays_unknown() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.end(ref.name, None)
        assert (await on.until(ContainerExited, ref)).exit_code is None


@timeless
async def test_a_list_finds_what_no_event_told() -> None:
    async with harness() as on:
        ended, removed = await on.running("ended"), await on.running("removed")
        on.engine.end(ended.name, 3, silently=True)
        on.engine.destroy(removed.name, silently=True)
        exited = await on.until(ContainerExited, ended, seconds=NEXT_LIST)
        assert exited.exit_code == 3
        await on.until(ContainerVanished, removed, seconds=NEXT_LIST)


@timeless
async def test_what_came_instead_of_a_list_is_kept_until_one_comes() -> None:
    async with harness() as on:
        assert on.containerizer.endpoint_trouble == ""
        on.engine.fail("list", Transient("Unauthorized"))
        await asyncio.sleep(NEXT_LIST)
        assert on.containerizer.endpoint_trouble == "Unauthorized"
        await asyncio.sleep(NEXT_LIST)
        assert on.containerizer.endpoint_trouble == ""


@timeless
async def test_without_events_lists_do() -> None:
    async with harness(FakeEngine(has_events=False)) as on:
        ref = await on.running()
        on.engine.end(ref.name, 3)
        await on.until(ContainerExited, ref, seconds=NEXT_LIST)
        assert on.engine.calls["events"] == 0


@timeless
async def test_without_events_lists_come_often_only_while_tasks_come_and_go() -> None:
    async with harness(FakeEngine(has_events=False)) as on:
        ref = await on.running()
        on.engine.end(ref.name, 3)
        await on.until(ContainerExited, ref, seconds=limits.POLL_INTERVAL + 0.1)
        await asyncio.sleep(limits.POLL_BUSY + limits.RELIST_INTERVAL)
        before = on.engine.calls["list"]
        await asyncio.sleep(10 * limits.RELIST_INTERVAL)
        assert 9 <= on.engine.calls["list"] - before <= 11
        ref = await on.running("second")
        on.engine.end(ref.name, 3)
        await on.until(ContainerExited, ref, seconds=limits.POLL_INTERVAL + 0.1)


@timeless
async def test_removed_behind_our_back_is_vanished_not_exited() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.destroy(ref.name)
        await on.until(ContainerVanished, ref, seconds=SOON)
        await asyncio.sleep(60)
        assert on.kinds(ref)[2:] == ["ContainerVanished"]


@timeless
async def test_a_failed_look_loses_nothing() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.fail("inspect", times=3)
        on.engine.end(ref.name, 3)
        await asyncio.sleep(2)
        assert "ContainerExited" not in on.kinds(ref)
        exited = await on.until(ContainerExited, ref, seconds=4 * NEXT_LIST)
        assert exited.exit_code == 3


@timeless
async def test_a_bug_that_one_container_brings_out_costs_the_others_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with harness() as on:
        poison, good = await on.running("poison"), await on.running("good")
        inspected = on.engine.inspect

        async def inspect(name: str) -> Container:
            if name == poison.name:
                raise KeyError("State")
            return await inspected(name)

        on.engine.inspect = inspect  # type: ignore[method-assign]
        on.engine.end(poison.name, 3)
        on.engine.end(good.name, 4)
        assert (await on.until(ContainerExited, good, seconds=SOON)).exit_code == 4
        assert f"{poison} could not be inspected" in caplog.text
        on.engine.inspect = inspected  # type: ignore[method-assign]
        assert (await on.until(ContainerExited, poison, seconds=NEXT_LIST)).exit_code == 3


@pytest.mark.parametrize("verb", ["list", "events"])
@timeless
async def test_a_bug_in_one_round_leaves_the_next_one(verb: str) -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.fail(verb, AttributeError("nobody expected it"))
        on.engine.break_events()
        await asyncio.sleep(NEXT_LIST)
        on.engine.end(ref.name, 3)
        await on.until(ContainerExited, ref, seconds=SOON)
        on.engine.end((await on.running("second")).name, 3, silently=True)
        await on.until(ContainerExited, on.facts[-1].ref, seconds=NEXT_LIST)  # type: ignore[union-attr]


@timeless
async def test_an_endpoint_that_does_not_answer_says_nothing() -> None:
    async with harness() as on:
        refs = [await on.running(f"task-{n}") for n in range(5)]
        on.engine.away = True
        on.engine.break_events()
        await asyncio.sleep(3600)
        assert on.containerizer.relist_age > 3500
        assert all(len(on.of(ref)) == 2 for ref in refs)
        on.engine.away = False
        await asyncio.sleep(NEXT_LIST)
        assert on.containerizer.relist_age < NEXT_LIST
        assert all(len(on.of(ref)) == 2 for ref in refs)


@timeless
async def test_ends_while_the_endpoint_was_away_are_told_when_it_is_back() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.away = True
        on.engine.break_events()
        on.engine.end(ref.name, 3)
        await asyncio.sleep(60)
        on.engine.away = False
        exited = await on.until(ContainerExited, ref, seconds=NEXT_LIST)
        assert exited.exit_code == 3


@timeless
async def test_a_lost_event_stream_is_bridged_by_a_list_at_once() -> None:
    async with harness() as on:
        ref = await on.running()
        await asyncio.sleep(NEXT_LIST / 4)
        on.engine.fail("events", times=1000)
        on.engine.break_events()
        on.engine.end(ref.name, 3)
        await on.until(ContainerExited, ref, seconds=1)


@timeless
async def test_what_ended_before_the_new_stream_stood_is_found_when_it_stands() -> None:
    async with harness() as on:
        ref = await on.running()
        held = on.engine.hold("events")
        on.engine.break_events()
        await asyncio.sleep(limits.EVENTS_RETRY + 0.5)
        on.engine.end(ref.name, 3)
        held.set()
        await on.until(ContainerExited, ref, seconds=1)


@timeless
async def test_events_about_strangers_cost_nothing() -> None:
    async with harness() as on:
        await on.running()
        looked = on.engine.calls["inspect"]
        on.engine.add("stranger", {})
        on.engine.end("stranger")
        await asyncio.sleep(1)
        assert on.engine.calls["inspect"] == looked


@timeless
async def test_another_container_under_its_name_is_not_it() -> None:
    async with harness() as on:
        ref = await on.running()
        on.engine.destroy(ref.name, silently=True)
        on.engine.add(ref.name, {LABEL_SHIM: "other", LABEL_CONTAINER: "other"})
        await on.until(ContainerVanished, ref, seconds=NEXT_LIST)


@timeless
async def test_a_list_older_than_a_start_ends_nothing() -> None:
    async with harness() as on:
        first = await on.running("first")
        listed = on.engine.list

        async def stale() -> object:
            seen = [one for one in await listed() if one.name != first.name]
            await asyncio.sleep(1)
            return seen

        on.engine.list = stale  # type: ignore[method-assign,assignment]
        await asyncio.sleep(60)
        assert on.kinds(first) == ["LaunchAdvanced", "ContainerStarted"]


@pytest.mark.parametrize(
    ("has_events", "most"), [(True, limits.RELIST_SHARE), (False, limits.POLL_SHARE)]
)
@timeless
async def test_lists_that_take_long_are_made_less_often(has_events: bool, most: float) -> None:
    engine = FakeEngine(has_events=has_events)
    listed = engine.list

    async def slow() -> object:
        await asyncio.sleep(5)
        return await listed()

    engine.list = slow  # type: ignore[method-assign,assignment]
    async with harness(engine):
        await asyncio.sleep(3600)
        share = engine.calls["list"] * 5 / 3600
        assert share <= most + 0.01
        assert engine.calls["list"] > 10


@timeless
async def test_few_looks_at_once_after_much_changed() -> None:
    async with harness() as on:
        refs = [await on.running(f"task-{n}") for n in range(100)]
        on.engine.most_in_flight = 0
        for ref in refs:
            on.engine.end(ref.name, 0, silently=True)
        for ref in refs:
            await on.until(ContainerExited, ref, seconds=NEXT_LIST)
        assert on.engine.most_in_flight <= limits.INSPECTS_AT_ONCE


def _ref() -> Ref:
    return Ref(TaskKey(FrameworkId("f"), TaskId("t")), ContainerId("c"))


@timeless
async def test_each_end_is_posted_once_whoever_saw_it_first() -> None:
    posted: list[object] = []
    watcher = ContainerWatcher(FakeEngine(), posted.append, asyncio.get_running_loop().time)
    ref = _ref()
    down = Container(ref.name, "id", Phase.EXITED, exit_code=1)
    watcher.add(ref)
    assert watcher.observe(ref, down)
    assert watcher.observe(ref, down)
    assert watcher.vanished(ref)
    assert posted == [ContainerExited(ref, 1)]


@timeless
@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.PROVISIONING])
async def test_what_lives_has_not_ended(phase: Phase) -> None:
    posted: list[object] = []
    watcher = ContainerWatcher(FakeEngine(), posted.append, asyncio.get_running_loop().time)
    ref = _ref()
    watcher.add(ref)
    assert not watcher.observe(ref, Container(ref.name, "id", phase))
    assert posted == []
    assert ref in watcher


@timeless
async def test_what_is_forgotten_ends_silently() -> None:
    async with harness() as on:
        ref = await on.running()
        on.containerizer._watcher.forget(ref)
        on.engine.fail("list", Transient("x"))
        on.engine.end(ref.name, 3)
        await asyncio.sleep(60)
        assert on.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]


@pytest.mark.parametrize(
    ("phase", "inspected"),
    [
        (Phase.RUNNING, []),
        (Phase.EXITED, ["a"]),
        (Phase.CREATED, ["a"]),
        (Phase.PROVISIONING, ["a"]),
        (None, ["a"]),
    ],
)
def test_a_watched_container_that_a_list_does_not_show_as_running_is_inspected(
    phase: Phase | None, inspected: list[str]
) -> None:
    listed = [Container("stranger", "1", Phase.EXITED)]
    if phase is not None:
        listed.append(Container("a", "2", phase))
    assert not_running(["a"], listed) == inspected


def test_a_list_says_nothing_of_containers_that_are_not_watched() -> None:
    assert not_running([], [Container("stranger", "1", Phase.EXITED)]) == []
