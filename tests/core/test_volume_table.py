"""The table of a persistent volume's life is complete and agrees with its diagram."""

from __future__ import annotations

import itertools

import pytest

from shim.core.volume_table import TABLE, VolumeAction, VolumeEvent, VolumePhase, step

PAIRS = list(itertools.product(VolumePhase, VolumeEvent))


@pytest.mark.parametrize(("phase", "event"), PAIRS, ids=lambda x: x.name)
def test_every_pair_is_in_the_table_and_goes_forward(
    phase: VolumePhase, event: VolumeEvent
) -> None:
    after, action = step(phase, event)
    order = list(VolumePhase)
    assert order.index(after) >= order.index(phase)
    assert action is VolumeAction.IGNORE or after is not phase or event is VolumeEvent.RESTART


def test_every_action_is_used() -> None:
    assert {action for row in TABLE.values() for _, action in row.values()} == set(VolumeAction)


@pytest.mark.parametrize("event", VolumeEvent, ids=lambda x: x.name)
def test_nothing_but_the_masters_word_ends_a_kept_volume(event: VolumeEvent) -> None:
    after, _ = step(VolumePhase.KEPT, event)
    assert (after is VolumePhase.KEPT) is (event is not VolumeEvent.DESTROY)


@pytest.mark.parametrize("phase", [VolumePhase.KEPT, VolumePhase.GONE])
def test_what_is_kept_or_gone_is_never_removed(phase: VolumePhase) -> None:
    removals = {VolumeAction.REMOVE, VolumeAction.REMOVE_AGAIN}
    assert not removals & {action for _, action in TABLE[phase].values()}
