from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.triton.place import Client, Place, client, place


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Place]:
    async with place(tmp_path) as made:
        yield made


@pytest.fixture
async def call(at: Place) -> AsyncIterator[Client]:
    async with client(at) as made:
        yield made
