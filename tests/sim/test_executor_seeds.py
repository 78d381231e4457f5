"""Custom executors under crashes, lost messages and broken streams: no seed may fail."""

from __future__ import annotations

import pytest

from tests.sim.executor_world import ExecutorWorld

SEEDS = 25
"""Of each block. About 25 ms a seed; ``scripts/sim`` is for the whole agent."""


@pytest.mark.parametrize("block", range(4))
def test_no_seed_fails(block: int) -> None:
    for seed in range(block * SEEDS, block * SEEDS + SEEDS):
        try:
            ExecutorWorld(seed).run()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
