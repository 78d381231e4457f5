"""Launches of task groups: what waits for what, and what is left when they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shim.engine.infra.image import IMAGE
from shim.errors import Permanent
from shim.model.container import Phase
from shim.model.facts import (
    ContainerStarted,
    ContainerUpdated,
    LaunchAdvanced,
    LaunchCancelled,
    LaunchFailed,
    Stage,
)
from shim.model.orders import CancelLaunch, UpdateContainer
from tests.engine.containers.pods import SHARED, Pod, PodHarness
from tests.fakes.engine import FakeEngine
from tests.support.wait import until

SHIM = "fake"


@pytest.fixture
async def h(tmp_path: Path) -> AsyncIterator[PodHarness]:
    engine = FakeEngine(SHIM)
    made = PodHarness(engine, SHIM, tmp_path)
    watch = asyncio.create_task(made.containerizer.run())
    yield made
    watch.cancel()
    await asyncio.wait([watch])
    await made.close()


def a_pod() -> Pod:
    pod = Pod()
    pod.add("web", "sleep", SHARED % "/data")
    pod.add("db", "sleep", SHARED % "/data")
    return pod


async def test_tasks_are_created_after_the_infra_container_runs(h: PodHarness) -> None:
    pod, held = a_pod(), h.engine.hold("start")
    h.engine.images.clear()
    h.engine.registry.add("busybox:1")
    h.launch(pod)
    for ref, _ in pod.tasks.values():
        await h.until(LaunchAdvanced, ref)
    await until(lambda: "busybox:1" in h.engine.images)
    assert set(h.engine.boxes) == {pod.ref.name}, "the image is pulled meanwhile"
    held.set()
    await h.until(ContainerStarted, pod.ref)
    for ref, _ in pod.tasks.values():
        await h.until(ContainerStarted, ref)
    assert h.engine.boxes[pod.ref.name].image == IMAGE
    assert h.engine.calls["create"] == h.engine.calls["start"] == 3, "one container more"
    assert h.engine.calls["load_image"] == 1
    assert [len(h.engine.volumes), h.engine.calls["create_volume"]] == [1, 0]


async def test_nothing_is_left_of_a_task_group_that_has_ended(h: PodHarness) -> None:
    pod = a_pod()
    await h.running(pod)
    (volume,) = h.engine.volumes.values()
    assert volume.owner == SHIM
    await h.remove(pod)
    assert (h.engine.boxes, h.engine.volumes) == ({}, {})
    assert h.engine.calls["list_volumes"] == 0, "what this process launched it knows"
    assert h.containerizer._deps.running._outcomes == {}
    assert h.containerizer._deps.volumes._known == {}
    assert h.containerizer._deps.leftovers.without_logs == set()


async def test_an_executor_of_an_earlier_process_is_joined_and_its_volumes_are_found(
    h: PodHarness, tmp_path: Path
) -> None:
    pod = a_pod()
    await h.running(pod)
    later = PodHarness(h.engine, SHIM, tmp_path / "later")
    pod.add("third", "sleep")
    later.containerizer.carry_out(pod.task_order("third"))
    await later.until(ContainerStarted, pod.tasks["third"][0])
    await later.remove(pod)
    assert (h.engine.boxes, h.engine.volumes) == ({}, {})
    await later.close()


async def test_an_executor_that_is_adopted_may_have_volumes(h: PodHarness, tmp_path: Path) -> None:
    pod = a_pod()
    await h.running(pod)
    later = PodHarness(h.engine, SHIM, tmp_path / "later")
    later.containerizer.carry_out(pod.executor_order)
    await later.until(ContainerStarted, pod.ref)
    await later.remove(pod)
    assert (h.engine.boxes, h.engine.volumes) == ({}, {})
    await later.close()


async def test_an_executor_without_a_container_has_volumes_too(h: PodHarness) -> None:
    pod = Pod("", infra=False)
    pod.add("web", "sleep", SHARED % "/data")
    await h.running(pod)
    assert set(h.engine.boxes) == {pod.tasks["web"][0].name}
    await h.remove(pod)
    assert (h.engine.boxes, h.engine.volumes) == ({}, {})


async def test_tasks_of_an_executor_that_fails_fail_with_its_reason(h: PodHarness) -> None:
    pod = a_pod()
    h.engine.fail("start", Permanent("no such network"))
    h.launch(pod)
    failed = [
        await h.until(LaunchFailed, ref) for ref in [pod.ref, *(r for r, _ in pod.tasks.values())]
    ]
    assert all("no such network" in fact.message for fact in failed)
    await h.remove(pod)
    assert h.engine.boxes == {}


async def test_a_cancel_reaches_tasks_that_wait_for_their_executor(h: PodHarness) -> None:
    pod, held = a_pod(), h.engine.hold("create")
    h.launch(pod)
    refs = [ref for ref, _ in pod.tasks.values()]
    for ref in refs:
        assert (await h.until(LaunchAdvanced, ref)).stage is Stage.CREATING
        h.containerizer.carry_out(CancelLaunch(ref))
        await h.until(LaunchCancelled, ref)
    h.containerizer.carry_out(CancelLaunch(pod.ref))
    held.set()
    await h.until(LaunchCancelled, pod.ref)
    await h.remove(pod)
    assert h.engine.boxes == {}


async def test_more_tasks_than_slots_do_not_block_their_executor(h: PodHarness) -> None:
    pods = [Pod() for _ in range(3)]
    for pod in pods:
        for number in range(10):
            pod.add(f"task-{number}", "sleep")
    await asyncio.gather(*(h.running(pod) for pod in pods))
    assert len(h.engine.boxes) == 33
    assert all(box.phase is Phase.RUNNING for box in h.engine.boxes.values())
    await asyncio.gather(*(h.remove(pod) for pod in pods))


async def test_volumes_of_unknown_executors_are_swept(h: PodHarness) -> None:
    known, unknown = a_pod(), a_pod()
    await asyncio.gather(h.running(known), h.running(unknown))
    for ref in [unknown.ref, *(ref for ref, _ in unknown.tasks.values())]:
        h.engine.destroy(ref.name)
    h.engine.fail("list_volumes")
    h.engine.fail("remove_volume")
    await h.containerizer.sweep_volumes(lambda: {known.ref.container_id})
    (left,) = h.engine.volumes
    assert left in h.engine.boxes[known.tasks["web"][0].name].volumes
    await h.remove(known)


async def test_the_container_of_an_executor_is_updated(h: PodHarness) -> None:
    pod = Pod()
    h.containerizer.carry_out(pod.executor_order)
    await h.until(ContainerStarted, pod.ref)
    h.containerizer.carry_out(UpdateContainer(pod.ref, ()))
    assert (await h.until(ContainerUpdated, pod.ref)).error == ""
    assert h.engine.calls["update"] == 1
    await h.remove(pod)
