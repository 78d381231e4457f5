"""The table of an operation's status is complete and agrees with its diagram."""

from __future__ import annotations

import itertools

import pytest

from shim.core.operation_table import (
    TABLE,
    OperationAction,
    OperationEvent,
    OperationPhase,
    step,
)

PAIRS = list(itertools.product(OperationPhase, OperationEvent))


@pytest.mark.parametrize(("phase", "event"), PAIRS, ids=lambda x: x.name)
def test_every_pair_is_in_the_table(phase: OperationPhase, event: OperationEvent) -> None:
    after, action = step(phase, event)
    assert isinstance(after, OperationPhase)
    assert (action is OperationAction.FORGET) == (
        after is OperationPhase.DONE and phase is not OperationPhase.DONE
    )


def test_every_action_is_used() -> None:
    assert {action for row in TABLE.values() for _, action in row.values()} == set(OperationAction)


@pytest.mark.parametrize("phase", OperationPhase, ids=lambda x: x.name)
def test_only_its_own_acknowledgement_ends_an_operation(phase: OperationPhase) -> None:
    for event in OperationEvent:
        after, _ = step(phase, event)
        if phase is not OperationPhase.DONE and event is not OperationEvent.ACKNOWLEDGED:
            assert after is not OperationPhase.DONE, event
