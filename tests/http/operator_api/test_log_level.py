from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from shim.http.operator_api.log_level import LogLevel
from tests.http.operator_api.conftest import Api


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    yield root
    root.setLevel(before)


async def test_the_level_is_another_for_some_time(root: logging.Logger) -> None:
    level = LogLevel()
    assert level.get() == 0
    level.set(3, 0.02, "alice")
    assert (level.get(), root.level) == (1, logging.DEBUG)
    await asyncio.sleep(0.05)
    assert (level.get(), root.level) == (0, logging.INFO)
    level.set(1, 60, "alice")
    level.set(0, 60, "alice")
    assert root.level == logging.INFO
    level.set(1, 60, "alice")
    level.close()
    assert root.level == logging.INFO


async def test_a_verbose_agent_is_made_quiet_for_some_time(root: logging.Logger) -> None:
    root.setLevel(logging.DEBUG)
    level = LogLevel()
    level.set(0, 0.02, "alice")
    assert root.level == logging.INFO
    await asyncio.sleep(0.05)
    assert (level.get(), root.level) == (1, logging.DEBUG)


async def test_the_call_changes_the_level(api: Api) -> None:
    body = {"level": 1, "duration": {"nanoseconds": 60_000_000_000}}
    assert await api.call("SET_LOGGING_LEVEL", **body) is None
    assert await api.call("GET_LOGGING_LEVEL") == {"level": 1}
