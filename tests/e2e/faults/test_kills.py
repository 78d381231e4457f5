"""kill -9 before and after every step that matters, with tasks coming and going.

``scripts/faults`` does the same as often as is wanted.
"""

from __future__ import annotations

import itertools
import random

import pytest

from tests.e2e.conftest import System
from tests.e2e.faults.crashing import MOMENTS, POINTS
from tests.e2e.faults.load import Load
from tests.e2e.faults.survival import mortal_agent, plan, survive

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]


async def test_killed_at_every_point(system: System) -> None:
    chance = random.Random(system.master)
    await mortal_agent(system)
    crashes = [
        crash
        for point, moment in itertools.product(POINTS, MOMENTS)
        for crash in plan(point, moment, 1, chance)
    ]
    chance.shuffle(crashes)
    async with (
        system.framework() as framework,
        Load(framework, system.image, system.directory / "evidence") as load,
    ):
        await survive(system, load, crashes)
