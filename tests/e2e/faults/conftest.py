"""A whole system whose every part may be hurt."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.e2e.conftest import System, taken_down
from tests.e2e.faults.masters import EmbeddedMaster, Master, RealMaster
from tests.wire.conftest import proxy, zk, zookeeper  # noqa: F401 - fixtures

REAL = os.environ.get("MESOS_MASTER_BIN")
NewMaster = Callable[..., Awaitable[Master]]


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.needs_master)])
async def new_master(
    request: pytest.FixtureRequest, tmp_path: Path, pings: int
) -> AsyncIterator[NewMaster]:
    """Masters that remember their agents, and run; flags are a real one's."""
    made: list[Master] = []

    async def new(*flags: str, **options: Any) -> Master:
        directory = tmp_path / f"master{len(made)}"
        if request.param == "embedded":
            master: Master = EmbeddedMaster(directory, pings, **options)
        else:
            assert REAL is not None
            master = RealMaster(REAL, directory, pings, *flags, **options)
        await master.start()
        made.append(master)
        return master

    yield new
    for master in made:
        await master.kill()
        await master.gate.stop()


@pytest.fixture
async def registry_master(new_master: NewMaster) -> Master:
    """The one master that most tests need."""
    return await new_master()


@pytest.fixture
async def system(
    registry_master: Master,
    tmp_path: Path,
    shim_id: str,
    busybox_image: str,
    docker_client: docker.DockerClient,
) -> AsyncIterator[System]:
    made = System(registry_master.address, tmp_path, shim_id, busybox_image, docker_client)
    made.direct = registry_master.direct
    async with taken_down(made) as found:
        yield found
