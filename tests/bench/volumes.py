"""Persistent volumes: a thousand made and destroyed, and what one adds to a launch.

The volumes are made and removed at the real engine by the agent's own code, as for launches and for
DESTROY. The launches go through the agent's mapping and engine, in alternation with and without a
volume: create the volume, create the container, start it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
import uuid

import docker

from shim.engine.client.endpoint import resolve
from shim.engine.containers.volume_provisioner import VolumeProvisioner
from shim.engine.docker import DockerEngine
from shim.engine.mapping import MappingSettings, container_spec
from shim.model.container import Ref
from shim.model.facts import Fact
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.orders import Launch, RemoveVolume
from shim.model.volume import VolumeMount, persistent_volume_name
from shim.protos.mesos_pb2 import ContainerInfo, TaskInfo
from tests.support import busybox

OWNER = f"bench-{uuid.uuid4().hex[:8]}"


def mount(number: int) -> VolumeMount:
    name = persistent_volume_name(OWNER, "bench", str(number), 0)
    return VolumeMount(name, "bench", str(number), 10.0, "data")


def launch(number: int, image: str, *mounts: VolumeMount) -> Launch:
    key = TaskKey(FrameworkId("bench"), TaskId(f"t{number}"))
    info = TaskInfo(name="bench")
    info.command.value = "sleep 100000"
    info.container.type = ContainerInfo.DOCKER
    info.container.docker.image = image
    return Launch(Ref(key, ContainerId(str(uuid.uuid4()))), info, "S", volumes=mounts)


async def many(engine: DockerEngine, count: int) -> None:
    """Make them, then destroy them."""
    posted: list[Fact] = []
    volumes = provisioner(engine, posted)
    began = time.monotonic()
    await asyncio.gather(
        *(volumes.before_create(launch(n, "image", mount(n))) for n in range(count))
    )
    made = time.monotonic()
    there = len(await engine.list_volumes())
    for n in range(count):
        volumes.carry_out(RemoveVolume(mount(n).name))
    while len(posted) < count:
        await asyncio.sleep(0.01)
    removed = time.monotonic()
    left = len(await engine.list_volumes())
    print(f"{there} volumes made in {made - began:.1f} s, destroyed in {removed - made:.1f} s")
    print(f"left: {left}")


def provisioner(engine: DockerEngine, posted: list[Fact]) -> VolumeProvisioner:
    return VolumeProvisioner(
        engine,
        posted.append,
        shim_id=OWNER,
        driver="local",
        options={},
        clock=time.monotonic,
    )


async def launches(engine: DockerEngine, rounds: int, image: str) -> None:
    volumes = provisioner(engine, [])
    settings = MappingSettings(OWNER)
    asked: list[float] = []
    """The call about the volume; nearly nothing for a launch without one."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * rounds):
        with_volume = bool(number % 2)
        order = launch(number, image, *([mount(0)] if with_volume else []))
        began = time.monotonic()
        await volumes.before_create(order)
        asked.append(time.monotonic() - began)
        spec = container_spec(
            order.ref,
            order.task,
            agent_id="S",
            executor_id="E",
            settings=settings,
            persistent=order.volumes,
        )
        await engine.create(spec)
        await volumes.after_create(order)
        await engine.start(order.ref.name)
        took[with_volume].append(time.monotonic() - began)
        await engine.remove(order.ref.name)
    await engine.remove_volume(mount(0).name)
    plain, more = (statistics.median(took[kind]) * 1000 for kind in (False, True))
    print(f"the call about the volume: {statistics.median(asked[1::2]) * 1000:.1f} ms")
    print(f"launch without a volume {plain:.1f} ms, with one {more:.1f} ms: +{more - plain:.1f} ms")


async def measure(count: int, rounds: int) -> None:
    image = await asyncio.to_thread(busybox.build, docker.from_env())
    engine = DockerEngine(resolve("", "", None), shim_id=OWNER)
    try:
        await many(engine, count)
        await launches(engine, rounds, image)
    finally:
        await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--volumes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    asyncio.run(measure(given.volumes, given.rounds))


if __name__ == "__main__":
    main()
