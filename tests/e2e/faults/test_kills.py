"""kill -9 before and after every step that matters, with tasks and volumes coming and going.

``scripts/faults`` does the same as often as is wanted, and at more steps of volumes.
"""

from __future__ import annotations

import itertools
import random

import pytest

from tests.e2e.conftest import System
from tests.e2e.faults.crashing import MOMENTS, POINTS, Crash
from tests.e2e.faults.load import Load
from tests.e2e.faults.survival import mortal_agent, plan, survive
from tests.e2e.faults.volume_load import RESOURCES, VolumeLoad
from tests.e2e.volumes import ROLE, remove_volumes

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


VOLUMES = (
    Crash("operation-record", "after", 1),
    Crash("volume-create", "after", 1),
    Crash("operation-status", "before", 3),
    Crash("volume-remove", "after", 1),
)
"""Between an operation's record and its status, the volume and its container, DESTROY and its
acknowledgement, and the removal and its record."""


async def test_killed_between_the_steps_of_a_volume(system: System) -> None:
    await mortal_agent(system, RESOURCES)
    try:
        async with (
            system.framework(roles=[ROLE], principal=None) as framework,
            VolumeLoad(system, framework, system.directory / "evidence") as load,
        ):
            await survive(system, load, VOLUMES)
    finally:
        remove_volumes(system)
