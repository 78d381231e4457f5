"""Two agents on one journal: a fixed range of seeds, and tests of that simulation itself."""

from __future__ import annotations

import pytest

from tests.sim.pair import PairWorld, make_pair, pair_violation
from tests.sim.plan import Event

CHUNK = 60


@pytest.mark.parametrize("first", range(0, 180, CHUNK))
def test_seeds_of_two_agents(first: int) -> None:
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
    take_overs = epochs = 0
    events: set[str] = set()
    said: set[str] = set()
    for seed in range(80):
        plan = make_pair(seed)
        trace: list[str] = []
        world = PairWorld(plan, trace)
        world.run()
        take_overs += world.take_overs
        epochs += world.epoch
        events |= {event.name for event in plan.events}
        said |= {line[12:].split(":")[0] for line in trace}
    assert take_overs > 150
    assert epochs > take_overs
    assert {"fell", "pause", "cut", "term", "zookeeper_away"} <= events
    text = "\n".join(said)
    for what in ("KILLED", "LEADS", "machine 0", "AT before the lease is checked"):
        assert what in text


def test_a_stop_for_a_minute_at_every_step_loses_and_doubles_nothing() -> None:
    """The same plan, stopped one step later each time."""
    for fuse in range(40):
        plan = make_pair(11)
        plan.faults = dict.fromkeys(plan.faults, 0.0)
        plan.events = [event for event in plan.events if event.name in ("launch", "kill", "exit")]
        plan.events.append(Event(2.0, "pause", {"fuse": fuse, "seconds": 60.0}))
        plan.events.sort(key=lambda event: event.at)
        assert pair_violation(plan) is None, f"stopped {fuse} steps after 2 s"
