"""Two agents on one journal: a fixed range of seeds, and tests of that simulation itself."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sim.clock import Violation
from tests.sim.pair import PairWorld, make_pair, pair_violation
from tests.sim.plan import Event

CHUNK = 50
DRAWN = (
    "killed",
    "stopped",
    "cut off from ZooKeeper",
    "cut off at a request",
    "the ensemble is away",
    "ends and gives the lock back",
    "another one leads, its process ends",
    "its session ends",
    "an order waits for the lease",
    "the answer to its epoch is lost",
    *("WRITE request lost", "WRITE request late", "WRITE answer lost"),
    *("READ request lost", "READ request late", "READ answer lost"),
    *("before WRITE", "after WRITE", "before READ", "after READ", "before the lease is checked"),
    *("before a fact is handled", "after a fact was handled"),
)
"""What the plans of two agents must have in them, and the steps at which a fault comes."""


@pytest.mark.parametrize("first", range(80, 180, CHUNK))
def test_seeds_of_two_agents(first: int) -> None:
    """Those before come below."""
    for seed in range(first, first + CHUNK):
        assert pair_violation(make_pair(seed)) is None, f"seed {seed}: scripts/sim --pair {seed}"


def test_a_seed_of_two_agents_is_the_same_run_each_time() -> None:
    first: list[str] = []
    second: list[str] = []
    pair_violation(make_pair(3), first)
    pair_violation(make_pair(3), second)
    assert first == second
    assert len(first) > 10


def test_seeds_of_two_agents_cover_every_fault() -> None:
    counts: Counter[str] = Counter()
    epochs = 0
    for seed in range(80):
        world = PairWorld(make_pair(seed))
        try:
            world.run()
        except Violation as found:
            pytest.fail(f"seed {seed}: {found}; scripts/sim --pair {seed}")
        epochs += world.epoch
        counts.update(world.counts)
    assert counts["take-over"] > 150
    assert epochs > counts["take-over"], "answers to a raised epoch are lost"
    assert [what for what in DRAWN if not counts[what]] == []


def test_a_stop_for_a_minute_at_every_step_loses_and_doubles_nothing() -> None:
    """The same plan, stopped one step later each time."""
    for fuse in range(40):
        plan = make_pair(11)
        plan.faults = dict.fromkeys(plan.faults, 0.0)
        plan.events = [event for event in plan.events if event.name in ("launch", "kill", "exit")]
        plan.events.append(Event(2.0, "pause", {"fuse": fuse, "seconds": 60.0}))
        plan.events.sort(key=lambda event: event.at)
        assert pair_violation(plan) is None, f"stopped {fuse} steps after 2 s"
