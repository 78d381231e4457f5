"""A fixed range of seeds, the corpus, and tests of the simulation itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.model.states import TERMINAL
from shim.protos.mesos_pb2 import TaskState
from tests.sim.clock import Violation
from tests.sim.disk import Disk
from tests.sim.plan import EXECUTOR_EVENTS, THEMES, make
from tests.sim.run import run_seed, shrink, violation
from tests.sim.seeds import CORPUS
from tests.sim.sqlite_disk import SqliteDisk
from tests.sim.world import World

CHUNK = 50


@pytest.mark.parametrize("first", range(300, 500, CHUNK))
def test_seeds(first: int) -> None:
    """Those before come below."""
    for seed in range(first, first + CHUNK):
        assert run_seed(seed) is None, f"seed {seed}: scripts/sim --seed {seed}"


@pytest.mark.parametrize("seed", CORPUS, ids=[name.replace(" ", "_") for name in CORPUS.values()])
def test_a_seed_that_once_failed(seed: int) -> None:
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


def test_300_seeds_cover_every_event_and_every_terminal_state() -> None:
    """Invariants, which have to hold in each of them, hold trivially in a run without events."""
    delivered: set[str] = set()
    events: set[str] = set()
    processes = masters = tasks = written = destroyed = handed_over = executor_updates = 0
    for seed in range(300):
        plan = make(seed)
        world = World(plan)
        try:
            world.run()
        except Violation as found:
            pytest.fail(f"seed {seed}: {found}; scripts/sim --seed {seed}")
        events |= {event.name for event in plan.events}
        for states in world.invariants.delivered.values():
            delivered |= {TaskState.Name(state) for state in states.values()}
        tasks += len(world.disk.accepted)
        written += len(world.volumes.written)
        destroyed += len(world.volumes.destroyed)
        handed_over += world.executors.invariants.handed_over
        executor_updates += world.executors.invariants.acknowledged
        processes += world._processes
        masters += world._masters
    ends = {TaskState.Name(state) for state in TERMINAL}
    assert delivered == ends - {"TASK_ERROR"} | {"TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"}
    of_themes = {name for theme in THEMES.values() for name in theme}
    assert events == {"launch", "operate", *of_themes, *EXECUTOR_EVENTS}
    assert handed_over > 40
    assert executor_updates > 60
    assert written > 50
    assert destroyed > 25
    assert tasks > 600
    assert processes > 500
    assert masters > 400


def test_a_disk_that_loses_tasks_is_detected() -> None:
    class Forgetful(Disk):
        def snapshot(self):  # type: ignore[no-untyped-def]
            kept = super().snapshot()
            kept.tasks.clear()
            return kept

    assert any(violation(make(seed), disk=Forgetful()) for seed in range(60))


def test_a_failing_plan_is_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = next(make(seed) for seed in range(100) if len(make(seed).events) > 12)
    wanted = plan.events[5]

    def fails(candidate: object, *_: object) -> str | None:
        return "wrong" if wanted in candidate.events else None  # type: ignore[attr-defined]

    monkeypatch.setattr("tests.sim.run.violation", fails)
    smaller = shrink(plan)
    assert smaller.events == [wanted]
    assert not any(smaller.faults.values())
    assert len(plan.events) > 12, "the plan itself is unchanged"
