from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.triton.simulator import Client, TritonSimulator, client, run_simulator


@pytest.fixture
async def triton(tmp_path: Path) -> AsyncIterator[TritonSimulator]:
    async with run_simulator(tmp_path) as made:
        yield made


@pytest.fixture
async def call(triton: TritonSimulator) -> AsyncIterator[Client]:
    async with client(triton) as made:
        yield made
