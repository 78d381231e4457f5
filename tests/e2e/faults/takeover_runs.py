"""Pairs of agents side by side, each with a master, a framework and diaries of its own."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.e2e.conftest import System, taken_down
from tests.e2e.faults.load import Load
from tests.e2e.faults.machines import Machine
from tests.e2e.faults.masters import MASTER, new_master
from tests.e2e.faults.takeovers import SESSION, Outages, Pair, take_overs
from tests.support import busybox
from tests.support.zookeeper import Ensemble

PATIENT_PINGS = 600
"""No agent is unreachable after a minute without a quorum, nor on a busy machine: what is shown is
that nothing is lost or doubled. How long a take-over takes: ``scripts/bench takeover``."""
TICK_MS = 400
"""Of ZooKeeper: a session of take-overs is ten ticks."""


@dataclass(frozen=True, slots=True)
class TakeOvers:
    """One run: pairs of agents side by side, each with a master and a framework of its own."""

    times: int
    pairs: int
    seed: int
    directory: Path
    image: str
    outages: Outages
    ensemble: Ensemble
    begun: asyncio.Barrier
    """All pairs have run a task: before its id is durable, an agent may become another one."""

    async def run(self) -> None:
        """Raises an ExceptionGroup after all pairs have ended."""
        shares = [len(range(n, self.times, self.pairs)) for n in range(self.pairs)]
        results = await asyncio.gather(
            *map(self._pair, itertools.count(), shares), return_exceptions=True
        )
        failures = [each for each in results if isinstance(each, Exception)]
        if failures:
            raise ExceptionGroup(f"{len(failures)} of {self.pairs} pairs failed", failures)

    async def _pair(self, number: int, times: int) -> None:
        """Two agents on one journal in ZooKeeper."""
        chance = random.Random(f"{self.seed} pair {number}")
        client = docker.from_env()
        directory = self.directory / f"pair{number}"
        directory.mkdir()
        master = new_master(directory / "master", PATIENT_PINGS)
        await master.start()
        shim_id = f"pair{number}-faults-{os.getpid()}"
        made = System(master.address, directory, shim_id, self.image, client, direct=master.direct)
        try:
            async with (
                taken_down(made) as system,
                self._machine(made, "one") as one,
                self._machine(made, "two") as two,
                system.framework() as framework,
                Load(framework, self.image, directory / "evidence") as load,
            ):
                await load.turnover(1)
                await self.begun.wait()
                pair = Pair([one, two], master.gate, self.outages, chance)
                await take_overs(
                    system, load, pair, names(list(pair.faults), number, times, chance)
                )
                told = f"{len(load.launched)} tasks, {load.told_again()} updates told again"
                done = f"{len(pair.done)} take-overs {dict(Counter(pair.done))}"
                print(f"pair {number}: {done}: {told}", flush=True)
        finally:
            await self.begun.abort()  # Without effect once all have begun.
            await master.kill()
            await master.gate.stop()
            client.close()

    def _machine(self, system: System, name: str) -> Machine:
        return Machine(system, system.directory / name, self.ensemble, SESSION)


def names(kinds: list[str], number: int, times: int, chance: random.Random) -> list[str]:
    """For pair ``number``: each kind as often as the others, in a random order."""
    found = [kinds[(number * times + each) % len(kinds)] for each in range(times)]
    chance.shuffle(found)
    return found


async def run_take_overs(times: int, servers: int, pairs: int, seed: int) -> None:
    print(f"seed {seed}, {MASTER}, {servers} ZooKeeper", flush=True)
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="takeovers-"))
    client = docker.from_env()
    image = busybox.build(client)
    client.close()
    with Ensemble(directory / "ensemble", servers, tick_ms=TICK_MS) as ensemble:
        outages = Outages(ensemble)
        try:
            begun = asyncio.Barrier(pairs)
            made = TakeOvers(times, pairs, seed, directory, image, outages, ensemble, begun)
            await made.run()
        except BaseException:
            print(f"FAILED; logs and diaries: {directory}", flush=True)
            raise
    shutil.rmtree(directory, ignore_errors=True)
    took = time.monotonic() - began
    print(f"{times} take-overs survived in {took:.0f} s; outages: {sorted(outages.lasted)}")
    print("nothing lost, told twice, started twice or left over")
