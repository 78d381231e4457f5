from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.engine.fetch.server import Server, serving


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as made:
        yield made
