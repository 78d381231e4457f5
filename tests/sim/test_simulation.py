"""A few hundred seeds, those that once failed, and the simulation's own honesty."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.model.states import TERMINAL
from shim.protos.mesos_pb2 import TaskState
from tests.sim import seeds
from tests.sim.disk import Disk
from tests.sim.plan import THEMES, make
from tests.sim.run import run_seed, shrink, violation
from tests.sim.sqlite_disk import SqliteDisk
from tests.sim.world import World

CHUNK = 100


@pytest.mark.parametrize("first", range(0, 500, CHUNK))
def test_seeds(first: int) -> None:
    for seed in range(first, first + CHUNK):
        assert run_seed(seed) is None, f"seed {seed}: scripts/sim --seed {seed}"


@pytest.mark.parametrize("seed", seeds.ONCE_FAILED)
def test_seeds_that_once_failed(seed: int) -> None:
    assert run_seed(seed) is None, f"scripts/sim --seed {seed}"


@pytest.mark.parametrize("first", range(0, 100, 25))
def test_seeds_with_the_real_journal(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 25):
        disk = SqliteDisk(tmp_path / str(seed))
        try:
            assert violation(make(seed), disk=disk) is None, f"seed {seed}"
        finally:
            disk.close()


def test_a_seed_is_the_same_run_each_time() -> None:
    for seed in (3, 7, 42):
        first: list[str] = []
        second: list[str] = []
        run_seed(seed, first)
        run_seed(seed, second)
        assert first == second
        assert len(first) > 10


def test_the_seeds_see_all_there_is_to_see() -> None:
    """A simulation in which nothing happens would hold for ever."""
    heard: set[str] = set()
    acts: set[str] = set()
    lives = masters = tasks = 0
    for seed in range(300):
        plan = make(seed)
        world = World(plan)
        world.run()
        acts |= {act.what for act in plan.acts}
        for said in world.judge.heard.values():
            heard |= {TaskState.Name(state) for state in said.values()}
        tasks += len(world.disk.accepted)
        lives += world._lives
        masters += world._masters
    ends = {TaskState.Name(state) for state in TERMINAL}
    never = {"TASK_ERROR", "TASK_GONE"}
    assert heard == ends - never | {"TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"}
    assert acts == {"launch", *(what for theme in THEMES.values() for what in theme)}
    assert tasks > 600
    assert lives > 500
    assert masters > 400


def test_a_disk_that_forgets_is_found() -> None:
    class Forgetful(Disk):
        def snapshot(self):  # type: ignore[no-untyped-def]
            kept = super().snapshot()
            kept.tasks.clear()
            return kept

    assert any(violation(make(seed), disk=Forgetful()) for seed in range(60))


def test_a_failing_plan_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = next(make(seed) for seed in range(100) if len(make(seed).acts) > 12)
    wanted = plan.acts[5]

    def fails(candidate: object, *_: object) -> str | None:
        return "wrong" if wanted in candidate.acts else None  # type: ignore[attr-defined]

    monkeypatch.setattr("tests.sim.run.violation", fails)
    smaller = shrink(plan)
    assert smaller.acts == [wanted]
    assert not any(smaller.faults.values())
    assert len(plan.acts) > 12, "the plan itself is left alone"
