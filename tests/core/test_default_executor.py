"""The tables of the default executor are complete and agree with their diagrams."""

from __future__ import annotations

import itertools

import pytest

from shim.core.default_executor import (
    EXECUTOR_TABLE,
    GROUP_TABLE,
    ExecutorAction,
    ExecutorEvent,
    GroupAction,
    GroupEvent,
    GroupPhase,
    executor_step,
    group_step,
)
from shim.core.executors import ExecutorPhase
from shim.core.lifecycle import Event
from tests.core.harness import Shim

EXECUTOR_PAIRS = list(itertools.product(ExecutorPhase, ExecutorEvent))
GROUP_PAIRS = list(itertools.product(GroupPhase, GroupEvent))


@pytest.mark.parametrize(("phase", "event"), EXECUTOR_PAIRS, ids=lambda x: x.name)
def test_every_pair_of_an_executor_is_in_the_table(
    phase: ExecutorPhase, event: ExecutorEvent
) -> None:
    after, action = executor_step(phase, event)
    order = list(ExecutorPhase)
    assert order.index(after) >= order.index(phase), "a transition goes back"
    if action is ExecutorAction.IGNORE:
        assert after is phase or event is ExecutorEvent.SHUTDOWN


@pytest.mark.parametrize(("phase", "event"), GROUP_PAIRS, ids=lambda x: x.name)
def test_every_pair_of_a_group_is_in_the_table(phase: GroupPhase, event: GroupEvent) -> None:
    after, action = group_step(phase, event)
    order = list(GroupPhase)
    assert order.index(after) >= order.index(phase), "a transition goes back"
    assert (action is GroupAction.KILL_REST) == (
        after is GroupPhase.KILLING and phase is not GroupPhase.KILLING
    )


def test_every_action_is_used_and_has_a_method() -> None:
    groups = Shim().core.groups
    used = {action for row in EXECUTOR_TABLE.values() for _, action in row.values()}
    assert used == set(ExecutorAction) == set(groups._executor_actions)
    group_used = {action for row in GROUP_TABLE.values() for _, action in row.values()}
    assert group_used == set(GroupAction) == set(groups._group_actions)


def test_an_executor_without_tasks_always_ends() -> None:
    for phase in ExecutorPhase:
        after, action = executor_step(phase, ExecutorEvent.EMPTY)
        assert after is ExecutorPhase.TERMINATED
        assert (action is ExecutorAction.REMOVE) == (phase is not ExecutorPhase.TERMINATED)


def test_events_of_a_container_have_one_name_for_tasks_and_executors() -> None:
    own = {ExecutorEvent.SHUTDOWN, ExecutorEvent.EMPTY}
    assert {event.name for event in set(ExecutorEvent) - own} <= set(Event.__members__)
