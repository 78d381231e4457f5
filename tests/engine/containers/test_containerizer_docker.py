"""The conductor on the real engine: what only a real one can show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from shim.engine.client.endpoint import resolve
from shim.engine.docker import DockerEngine
from shim.model.container import Phase
from shim.model.facts import (
    ContainerExited,
    ContainerRemoved,
    ContainerStarted,
    ContainerVanished,
    Failure,
    LaunchFailed,
)
from shim.model.orders import CancelLaunch, Remove, Stop
from tests.engine.containers.harness import Harness, harness

pytestmark = pytest.mark.needs_docker

RUNS = ("sh", "-c", "trap 'exit 0' TERM; sleep 100 & wait")


@pytest.fixture
async def on(shim_id: str, busybox_image: str) -> AsyncIterator[Harness]:
    engine = DockerEngine(resolve(), shim_id=shim_id)
    async with harness(engine, image=busybox_image, shim_id=shim_id) as made:
        yield made
        for container in await engine.list():
            await engine.remove(container.name)
    await engine.close()


async def test_a_task_from_launch_to_nothing(on: Harness) -> None:
    ref = on.launch(command=RUNS)
    started = await on.until(ContainerStarted, ref, 30)
    assert started.container.phase is Phase.RUNNING
    assert started.container.addresses
    (told,) = json.loads(started.container.inspect)
    assert told["Name"] == f"/{ref.name}"
    await asyncio.sleep(0.3)
    on.containerizer.carry_out(Stop(ref, 20.0))
    assert (await on.until(ContainerExited, ref, 10)).exit_code == 0
    on.containerizer.carry_out(Remove(ref))
    await on.until(ContainerRemoved, ref, 10)
    assert on.kinds(ref) == [
        "LaunchAdvanced",
        "ContainerStarted",
        "ContainerExited",
        "ContainerRemoved",
    ]
    assert list(await on.engine.list()) == []


async def test_an_end_is_told_by_an_event(on: Harness) -> None:
    ref = on.launch(command=("sh", "-c", "sleep 0.5; exit 7"))
    await on.until(ContainerStarted, ref, 30)
    assert (await on.until(ContainerExited, ref, 5)).exit_code == 7


async def test_out_of_memory_is_told(on: Harness) -> None:
    on.host = {"Memory": 8 * 2**20, "MemorySwap": 8 * 2**20}
    ref = on.launch(command=("sh", "-c", "x=a; while :; do x=$x$x; done"))
    exited = await on.until(ContainerExited, ref, 60)
    assert exited.exit_code != 0
    assert exited.oom_killed


async def test_a_refused_start_is_told_in_the_daemons_words(on: Harness) -> None:
    ref = on.launch(command=("/no/such/program",))
    failed = await on.until(LaunchFailed, ref, 30)
    assert failed.failure is Failure.LAUNCH
    assert "/no/such/program" in failed.message
    on.containerizer.carry_out(Remove(ref))
    await on.until(ContainerRemoved, ref, 10)


async def test_an_image_that_nobody_has_is_a_failed_pull(on: Harness) -> None:
    ref = on.launch(image="127.0.0.1:1/nothing:1")
    failed = await on.until(LaunchFailed, ref, 60)
    assert failed.failure is Failure.PULL
    assert "127.0.0.1:1" in failed.message


async def test_removed_behind_our_back(on: Harness) -> None:
    ref = on.launch(command=RUNS)
    await on.until(ContainerStarted, ref, 30)
    await on.engine.remove(ref.name)
    # The daemon kills it first: whoever looks quickly enough still sees how it ended.
    ended = await on.until(ContainerExited | ContainerVanished, ref, 10)
    assert isinstance(ended, ContainerVanished) or ended.exit_code == 137
    await asyncio.sleep(0.5)
    assert len(on.of(ref)) == 3


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.3])
async def test_a_kill_at_any_moment_of_a_launch_leaves_nothing(on: Harness, delay: float) -> None:
    ref = on.launch(command=RUNS)
    await asyncio.sleep(delay)
    on.containerizer.carry_out(CancelLaunch(ref))
    on.containerizer.carry_out(Remove(ref))
    await on.until(ContainerRemoved, ref, 30)
    assert len({"LaunchCancelled", "ContainerStarted"} & set(on.kinds(ref))) == 1
    assert list(await on.engine.list()) == []


async def test_twenty_at_once(on: Harness) -> None:
    refs = [on.launch(f"task-{n}", RUNS) for n in range(20)]
    for ref in refs:
        await on.until(ContainerStarted, ref, 60)
    for ref in refs:
        on.containerizer.carry_out(Stop(ref, 1.0))
    for ref in refs:
        await on.until(ContainerExited, ref, 30)
        on.containerizer.carry_out(Remove(ref))
    for ref in refs:
        await on.until(ContainerRemoved, ref, 30)
        assert on.kinds(ref).count("ContainerExited") == 1
    assert list(await on.engine.list()) == []
