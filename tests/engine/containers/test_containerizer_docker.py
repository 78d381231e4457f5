"""The containerizer on a real Docker engine: what a fake cannot show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

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
from tests.support.wait import PATIENCE, patience

pytestmark = pytest.mark.needs_docker

RUNS = ("sh", "-c", "trap 'exit 0' TERM; echo ready; sleep 1000 & wait")


@pytest.fixture
async def h(shim_id: str, busybox_image: str) -> AsyncIterator[Harness]:
    engine = DockerEngine(resolve(), shim_id=shim_id)
    async with harness(engine, image=busybox_image, shim_id=shim_id) as made:
        yield made
        for container in await engine.list():
            await engine.remove(container.name)
    await engine.close()


async def test_a_task_from_launch_to_nothing(h: Harness) -> None:
    ref = h.launch(command=RUNS)
    started = await h.until(ContainerStarted, ref, PATIENCE)
    assert started.container.phase is Phase.RUNNING
    assert started.container.addresses
    (inspected,) = json.loads(started.container.inspect)
    assert inspected["Name"] == f"/{ref.name}"
    async with patience(), aclosing(h.engine.logs(ref.name, since=0, follow=True)) as lines:
        assert (await anext(lines))[2] == b"ready\n"
    h.containerizer.carry_out(Stop(ref, PATIENCE))
    assert (await h.until(ContainerExited, ref, PATIENCE)).exit_code == 0
    h.containerizer.carry_out(Remove(ref))
    await h.until(ContainerRemoved, ref, PATIENCE)
    assert h.kinds(ref) == [
        "LaunchAdvanced",
        "ContainerStarted",
        "ContainerExited",
        "ContainerRemoved",
    ]
    assert list(await h.engine.list()) == []


async def test_an_end_is_reported_at_its_event(h: Harness) -> None:
    ref = h.launch(command=("sh", "-c", "sleep 0.5; exit 7"))
    await h.until(ContainerStarted, ref, PATIENCE)
    assert (await h.until(ContainerExited, ref, PATIENCE)).exit_code == 7


async def test_out_of_memory_is_reported(h: Harness) -> None:
    h.host = {"Memory": 8 * 2**20, "MemorySwap": 8 * 2**20}
    ref = h.launch(command=("sh", "-c", "x=a; while :; do x=$x$x; done"))
    exited = await h.until(ContainerExited, ref, PATIENCE)
    assert exited.exit_code != 0
    assert exited.oom_killed


async def test_a_refused_start_fails_with_the_daemons_message(h: Harness) -> None:
    ref = h.launch(command=("/no/such/program",))
    failed = await h.until(LaunchFailed, ref, PATIENCE)
    assert failed.failure is Failure.LAUNCH
    assert "/no/such/program" in failed.message
    h.containerizer.carry_out(Remove(ref))
    await h.until(ContainerRemoved, ref, PATIENCE)


async def test_an_image_that_no_registry_has_is_a_failed_pull(h: Harness) -> None:
    ref = h.launch(image="127.0.0.1:1/nothing:1")
    failed = await h.until(LaunchFailed, ref, PATIENCE)
    assert failed.failure is Failure.PULL
    assert "127.0.0.1:1" in failed.message


async def test_a_container_removed_by_others_is_reported_once(h: Harness) -> None:
    ref = h.launch(command=RUNS)
    await h.until(ContainerStarted, ref, PATIENCE)
    await h.engine.remove(ref.name)
    # The daemon kills it first, so a quick inspect still sees how it ended.
    ended = await h.until(ContainerExited | ContainerVanished, ref, PATIENCE)
    assert isinstance(ended, ContainerVanished) or ended.exit_code == 137
    await asyncio.sleep(0.5)
    assert len(h.of(ref)) == 3


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.3])
async def test_a_kill_at_any_moment_of_a_launch_leaves_nothing(h: Harness, delay: float) -> None:
    ref = h.launch(command=RUNS)
    await asyncio.sleep(delay)
    h.containerizer.carry_out(CancelLaunch(ref))
    h.containerizer.carry_out(Remove(ref))
    await h.until(ContainerRemoved, ref, PATIENCE)
    assert len({"LaunchCancelled", "ContainerStarted"} & set(h.kinds(ref))) == 1
    assert list(await h.engine.list()) == []


async def test_twenty_containers_live_at_once(h: Harness) -> None:
    refs = [h.launch(f"task-{n}", RUNS) for n in range(20)]
    for ref in refs:
        await h.until(ContainerStarted, ref, PATIENCE)
    for ref in refs:
        h.containerizer.carry_out(Stop(ref, 1.0))
    for ref in refs:
        await h.until(ContainerExited, ref, PATIENCE)
        h.containerizer.carry_out(Remove(ref))
    for ref in refs:
        await h.until(ContainerRemoved, ref, PATIENCE)
        assert h.kinds(ref).count("ContainerExited") == 1
    assert list(await h.engine.list()) == []


async def test_arguments_alone_run_the_program_of_the_images_command(h: Harness) -> None:
    """The image of the tests has the command ``sh`` and no entrypoint."""
    h.completes_image_command = True
    ref = h.launch(command=("-c", "exit 7"))
    assert (await h.until(ContainerExited, ref, PATIENCE)).exit_code == 7
