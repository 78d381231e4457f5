"""kill -9 as often as is wanted, before and after every step: scripts/faults --times 20.

``scripts/faults --takeovers 200``: two agents on one journal in three ZooKeepers. The leader is
killed, ended, stopped for longer than its session, or cut off from ZooKeeper, from the master or
from the engine, and the ensemble loses its quorum. ``--pairs`` of agents go on side by side.

``scripts/faults --pods``: kills at the steps of pods of three tasks, which share a network and a
volume.

``scripts/faults --volumes``: kills at the steps of persistent volumes, and an engine that is away
while volumes are made, used and destroyed.

``scripts/faults --executors``: kills at the steps of custom executors, v0 and v1 in turn.

Each point has a system of its own: a master (the embedded one, or a real one with
MESOS_MASTER_BIN), an agent on the real engine, an ordinary framework, and tasks that keep
diaries. Ends with 1 when anything was lost, told twice, started twice or left over.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import docker

from tests.e2e.conftest import System, taken_down
from tests.e2e.executors.image import executor_image, gateway
from tests.e2e.faults.crashing import (
    ALL_POINTS,
    EXECUTOR_POINTS,
    MOMENTS,
    POD_POINTS,
    POINTS,
    VOLUME_POINTS,
)
from tests.e2e.faults.executor_load import ExecutorLoad
from tests.e2e.faults.load import Load
from tests.e2e.faults.masters import MASTER, new_master
from tests.e2e.faults.pod_load import PodLoad
from tests.e2e.faults.proxy import DockerProxy
from tests.e2e.faults.survival import mortal_agent, plan, survive
from tests.e2e.faults.takeover_runs import run_take_overs
from tests.e2e.faults.volume_load import RESOURCES, VolumeLoad
from tests.e2e.volumes import ROLE, remove_volumes
from tests.support import busybox

PINGS = 60


@contextlib.asynccontextmanager
async def new_system(shim_id: str) -> AsyncIterator[System]:
    """A master, and a system in a directory of its own; nothing of it is left."""
    client = docker.from_env()
    image = busybox.build(client)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        directory = Path(name)
        master = new_master(directory / "master", PINGS)
        await master.start()
        made = System(master.address, directory, shim_id, image, client, direct=master.direct)
        try:
            async with taken_down(made) as system:
                yield system
        finally:
            remove_volumes(made)
            await master.kill()
            await master.gate.stop()
            client.close()


async def kill_at(point: str, moment: str, times: int, seed: int, shim_id: str) -> str:
    """What the run showed; raises AssertionError with every complaint."""
    chance = random.Random(f"{seed} {point} {moment}")
    crashes = plan(point, moment, times, chance)
    async with new_system(shim_id) as system:
        diaries = system.directory / "evidence"
        if point in VOLUME_POINTS:
            await mortal_agent(system, RESOURCES)
            async with (
                system.framework(roles=[ROLE], principal=None) as framework,
                VolumeLoad(system, framework, diaries) as volumes,
            ):
                await survive(system, volumes, crashes)
                return f"{dict(volumes.done)}"
        custom = point in EXECUTOR_POINTS
        await mortal_agent(system, *([f"--ip={gateway(system.engine)}"] if custom else []))
        kind = PodLoad if point in POD_POINTS else ExecutorLoad if custom else Load
        image = executor_image(system.engine) if custom else system.image
        async with system.framework() as framework, kind(framework, image, diaries) as load:
            await survive(system, load, crashes)
            await system.no_volumes()
            return f"{len(load.launched)} tasks, {load.told_again()} updates told again"


async def engine_away(times: int, shim_id: str) -> str:
    """The engine goes away while volumes are made, used and destroyed, and comes back."""
    async with new_system(shim_id) as system, DockerProxy(system.directory / "d.sock") as proxy:
        await system.agent("--engine=docker", RESOURCES, DOCKER_HOST=proxy.host)
        async with (
            system.framework(roles=[ROLE], principal=None) as framework,
            VolumeLoad(system, framework, system.directory / "evidence") as volumes,
        ):
            for stage in ("CREATE", "LAUNCH", "DESTROY") * times:
                await volumes.stage(stage)
                await proxy.away()
                await asyncio.sleep(1.5)
                await proxy.back()
                await volumes.turnover(1)
            await volumes.drain()
            await system.no_containers()
            complaints = volumes.complaints()
            assert not complaints, "\n".join(complaints)
            return f"{dict(volumes.done)}"


async def run(points: list[str], times: int, seed: int) -> int:
    failed = kills = 0
    print(f"seed {seed}, {MASTER}", flush=True)
    for point, moment in itertools.product(points, MOMENTS):
        began = time.monotonic()
        try:
            shown = await kill_at(point, moment, times, seed, f"faults-{os.getpid()}")
            verdict = f"survived {times} kills: {shown}"
            kills += times
        except (AssertionError, ExceptionGroup) as error:
            failed += 1
            verdict = f"FAILED: {error}"
        took = time.monotonic() - began
        print(f"{moment:>6} {point:15} {verdict} ({took:.0f} s)", flush=True)
    lost = "nothing lost, told twice, started twice or left over" if not failed else "see above"
    print(f"{kills} kills survived at {len(points) * len(MOMENTS)} points; {lost}")
    return 1 if failed else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="kills before and after each step")
    names = sorted(ALL_POINTS)
    parser.add_argument("--point", choices=names, action="append", help="only this one")
    parser.add_argument("--pods", action="store_true", help="instead: of pods")
    parser.add_argument("--volumes", action="store_true", help="instead: of persistent volumes")
    parser.add_argument("--executors", action="store_true", help="instead: of custom executors")
    parser.add_argument("--takeovers", type=int, help="instead: this many, of two agents")
    parser.add_argument("--pairs", type=int, default=3, help="side by side, for --takeovers")
    parser.add_argument("--servers", type=int, default=3, help="of ZooKeeper, for --takeovers")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    if given.takeovers:
        asyncio.run(run_take_overs(given.takeovers, given.servers, given.pairs, given.seed))
        return
    whose = VOLUME_POINTS if given.volumes else EXECUTOR_POINTS if given.executors else POINTS
    whose = POD_POINTS if given.pods else whose
    points = given.point or list(whose)
    failed = asyncio.run(run(points, given.times, given.seed))
    if given.volumes and not given.point:
        shown = asyncio.run(engine_away(given.times, f"faults-{os.getpid()}"))
        print(f"survived {given.times} times an engine away at CREATE, LAUNCH and DESTROY: {shown}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
