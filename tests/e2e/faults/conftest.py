"""A whole system whose every part may be hurt."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest

from tests.e2e.conftest import System, shim_id_of, taken_down
from tests.e2e.faults.masters import EmbeddedMaster, Master, RealMaster

REAL = os.environ.get("MESOS_MASTER_BIN")


@pytest.fixture
def pings() -> int:
    """Missed by an agent, one a second, that make it unreachable. Modules say otherwise."""
    return 2


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.needs_master)])
async def keeper(
    request: pytest.FixtureRequest, tmp_path: Path, pings: int
) -> AsyncIterator[Master]:
    """A master that remembers its agents, and runs."""
    made: Master
    if request.param == "embedded":
        made = EmbeddedMaster(tmp_path, pings)
    else:
        assert REAL is not None
        made = RealMaster(REAL, tmp_path, pings)
    await made.start()
    yield made
    await made.kill()
    await made.gate.stop()


@pytest.fixture
async def system(
    keeper: Master,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    busybox_image: str,
    docker_client: docker.DockerClient,
) -> AsyncIterator[System]:
    made = System(keeper.address, tmp_path, shim_id_of(request), busybox_image, docker_client)
    made.direct = keeper.direct
    async with taken_down(made) as found:
        yield found
