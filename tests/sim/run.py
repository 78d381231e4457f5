"""Running one plan, and shrinking a failing one."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from tests.sim.clock import Violation
from tests.sim.disk import Disk
from tests.sim.plan import Plan, make
from tests.sim.world import World


def violation(plan: Plan, trace: list[str] | None = None, disk: Disk | None = None) -> str | None:
    """The invariant that a run of the plan breaks; None: all hold. The plan stays as it is."""
    return _violation(copy.deepcopy(plan), trace, disk)


def _violation(plan: Plan, trace: list[str] | None, disk: Disk | None) -> str | None:
    world = World(plan, trace, disk)
    try:
        world.run()
    except Violation as found:
        world.say("VIOLATION", found)
        return str(found)
    return None


def run_seed(seed: int, trace: list[str] | None = None) -> str | None:
    return _violation(make(seed), trace, None)


def shrink(plan: Plan) -> Plan:
    """A smaller plan that fails as well, without the events and faults it does not need."""
    smaller = plan
    while True:
        for candidate in _smaller(smaller):
            if violation(candidate) is not None:
                smaller = candidate
                break
        else:
            return smaller


def _smaller(plan: Plan) -> Iterator[Plan]:
    for i in range(len(plan.events)):
        less = copy.deepcopy(plan)
        del less.events[i]
        yield less
    for name, rate in plan.faults.items():
        if rate:
            less = copy.deepcopy(plan)
            less.faults[name] = 0.0
            yield less
    if plan.triton or plan.authenticate:
        less = copy.deepcopy(plan)
        less.triton = less.authenticate = False
        yield less
