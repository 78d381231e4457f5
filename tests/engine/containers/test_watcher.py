"""The watcher misses no end and invents none."""

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
async def test_an_end_is_reported_within_moments_of_its_event() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.end(ref.name, 137, oom_killed=True, error="out of memory")
        exited = await h.until(ContainerExited, ref, seconds=SOON)
        assert exited == ContainerExited(ref, 137, True, "out of memory")
        assert h.containerizer.watched == 0


@timeless
async def test_an_unknown_exit_code_stays_unknown() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.end(ref.name, None)
        assert (await h.until(ContainerExited, ref)).exit_code is None


@timeless
async def test_a_list_finds_ends_without_events() -> None:
    async with harness() as h:
        ended, removed = await h.running("ended"), await h.running("removed")
        h.engine.end(ended.name, 3, silently=True)
        h.engine.destroy(removed.name, silently=True)
        exited = await h.until(ContainerExited, ended, seconds=NEXT_LIST)
        assert exited.exit_code == 3
        await h.until(ContainerVanished, removed, seconds=NEXT_LIST)


@timeless
async def test_the_error_of_a_list_is_kept_until_a_list_is_answered() -> None:
    async with harness() as h:
        assert h.containerizer.endpoint_trouble == ""
        h.engine.fail("list", Transient("Unauthorized"))
        await asyncio.sleep(NEXT_LIST)
        assert h.containerizer.endpoint_trouble == "Unauthorized"
        await asyncio.sleep(NEXT_LIST)
        assert h.containerizer.endpoint_trouble == ""


@timeless
async def test_without_events_a_list_finds_an_end() -> None:
    async with harness(FakeEngine(has_events=False)) as h:
        ref = await h.running()
        h.engine.end(ref.name, 3)
        await h.until(ContainerExited, ref, seconds=NEXT_LIST)
        assert h.engine.calls["events"] == 0


@timeless
async def test_without_events_lists_are_frequent_only_while_tasks_start_and_end() -> None:
    async with harness(FakeEngine(has_events=False)) as h:
        ref = await h.running()
        h.engine.end(ref.name, 3)
        await h.until(ContainerExited, ref, seconds=limits.POLL_INTERVAL + 0.1)
        await asyncio.sleep(limits.POLL_BUSY + limits.RELIST_INTERVAL)
        before = h.engine.calls["list"]
        await asyncio.sleep(10 * limits.RELIST_INTERVAL)
        assert 9 <= h.engine.calls["list"] - before <= 11
        ref = await h.running("second")
        h.engine.end(ref.name, 3)
        await h.until(ContainerExited, ref, seconds=limits.POLL_INTERVAL + 0.1)


@timeless
async def test_a_container_removed_by_others_vanished() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.destroy(ref.name)
        await h.until(ContainerVanished, ref, seconds=SOON)
        await asyncio.sleep(60)
        assert h.kinds(ref)[2:] == ["ContainerVanished"]


@timeless
async def test_a_failed_inspect_loses_no_end() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.fail("inspect", times=3)
        h.engine.end(ref.name, 3)
        await asyncio.sleep(2)
        assert "ContainerExited" not in h.kinds(ref)
        exited = await h.until(ContainerExited, ref, seconds=4 * NEXT_LIST)
        assert exited.exit_code == 3


@timeless
async def test_a_bug_that_one_container_triggers_leaves_the_others_watched(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with harness() as h:
        poison, good = await h.running("poison"), await h.running("good")
        inspected = h.engine.inspect

        async def inspect(name: str) -> Container:
            if name == poison.name:
                raise KeyError("State")
            found: Container = await inspected(name)
            return found

        h.engine.inspect = inspect
        h.engine.end(poison.name, 3)
        h.engine.end(good.name, 4)
        assert (await h.until(ContainerExited, good, seconds=SOON)).exit_code == 4
        assert f"{poison} could not be inspected" in caplog.text
        h.engine.inspect = inspected
        assert (await h.until(ContainerExited, poison, seconds=NEXT_LIST)).exit_code == 3


@pytest.mark.parametrize("verb", ["list", "events"])
@timeless
async def test_a_bug_in_one_list_or_stream_leaves_the_next_one(verb: str) -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.fail(verb, AttributeError("a bug"))
        h.engine.break_events()
        await asyncio.sleep(NEXT_LIST)
        h.engine.end(ref.name, 3)
        await h.until(ContainerExited, ref, seconds=SOON)
        h.engine.end((await h.running("second")).name, 3, silently=True)
        await h.until(ContainerExited, h.facts[-1].ref, seconds=NEXT_LIST)  # type: ignore[union-attr]


@timeless
async def test_no_end_is_reported_while_the_endpoint_is_away() -> None:
    async with harness() as h:
        refs = [await h.running(f"task-{n}") for n in range(5)]
        h.engine.away = True
        h.engine.break_events()
        await asyncio.sleep(3600)
        assert h.containerizer.relist_age > 3500
        assert all(len(h.of(ref)) == 2 for ref in refs)
        h.engine.away = False
        await asyncio.sleep(NEXT_LIST)
        assert h.containerizer.relist_age < NEXT_LIST
        assert all(len(h.of(ref)) == 2 for ref in refs)


@timeless
async def test_ends_while_the_endpoint_was_away_are_reported_when_it_is_back() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.away = True
        h.engine.break_events()
        h.engine.end(ref.name, 3)
        await asyncio.sleep(60)
        h.engine.away = False
        exited = await h.until(ContainerExited, ref, seconds=NEXT_LIST)
        assert exited.exit_code == 3


@timeless
async def test_a_broken_event_stream_is_followed_by_a_list_at_once() -> None:
    async with harness() as h:
        ref = await h.running()
        await asyncio.sleep(NEXT_LIST / 4)
        h.engine.fail("events", times=1000)
        h.engine.break_events()
        h.engine.end(ref.name, 3)
        await h.until(ContainerExited, ref, seconds=1)


@timeless
async def test_an_end_between_two_event_streams_is_found() -> None:
    async with harness() as h:
        ref = await h.running()
        held = h.engine.hold("events")
        h.engine.break_events()
        await asyncio.sleep(limits.EVENTS_RETRY + 0.5)
        h.engine.end(ref.name, 3)
        held.set()
        await h.until(ContainerExited, ref, seconds=1)


@timeless
async def test_an_event_about_a_foreign_container_causes_no_inspect() -> None:
    async with harness() as h:
        await h.running()
        inspects = h.engine.calls["inspect"]
        h.engine.add("stranger", {})
        h.engine.end("stranger")
        await asyncio.sleep(1)
        assert h.engine.calls["inspect"] == inspects


@timeless
async def test_another_container_of_the_same_name_means_that_the_first_vanished() -> None:
    async with harness() as h:
        ref = await h.running()
        h.engine.destroy(ref.name, silently=True)
        h.engine.add(ref.name, {LABEL_SHIM: "other", LABEL_CONTAINER: "other"})
        await h.until(ContainerVanished, ref, seconds=NEXT_LIST)


@timeless
async def test_a_list_older_than_a_start_ends_no_container() -> None:
    async with harness() as h:
        first = await h.running("first")
        listed = h.engine.list

        async def stale() -> object:
            seen = [one for one in await listed() if one.name != first.name]
            await asyncio.sleep(1)
            return seen

        h.engine.list = stale
        await asyncio.sleep(60)
        assert h.kinds(first) == ["LaunchAdvanced", "ContainerStarted"]


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
async def test_few_inspects_are_under_way_at_once() -> None:
    async with harness() as h:
        refs = [await h.running(f"task-{n}") for n in range(100)]
        h.engine.most_in_flight = 0
        for ref in refs:
            h.engine.end(ref.name, 0, silently=True)
        for ref in refs:
            await h.until(ContainerExited, ref, seconds=NEXT_LIST)
        assert h.engine.most_in_flight <= limits.INSPECTS_AT_ONCE


def _ref() -> Ref:
    return Ref(TaskKey(FrameworkId("f"), TaskId("t")), ContainerId("c"))


@timeless
async def test_each_end_is_posted_once() -> None:
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
async def test_a_running_or_provisioning_container_has_not_ended(phase: Phase) -> None:
    posted: list[object] = []
    watcher = ContainerWatcher(FakeEngine(), posted.append, asyncio.get_running_loop().time)
    ref = _ref()
    watcher.add(ref)
    assert not watcher.observe(ref, Container(ref.name, "id", phase))
    assert posted == []
    assert ref in watcher


@timeless
async def test_the_end_of_a_forgotten_container_is_not_posted() -> None:
    async with harness() as h:
        ref = await h.running()
        h.containerizer._watcher.forget(ref)
        h.engine.fail("list", Transient("x"))
        h.engine.end(ref.name, 3)
        await asyncio.sleep(60)
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]


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
