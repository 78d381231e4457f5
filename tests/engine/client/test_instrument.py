from __future__ import annotations

import asyncio

import pytest

from shim.engine.client.instrument import instrument
from shim.engine.images.reference import parse_image
from shim.errors import NotFound
from tests.fakes.engine import FakeEngine


async def test_calls_are_reported_with_their_outcome() -> None:
    seen: list[tuple[str, str]] = []
    engine = FakeEngine()
    instrument(engine, lambda call, outcome, s: seen.append((call, outcome)))  # type: ignore[arg-type]
    await engine.info()
    await engine.list()
    assert await engine.has_image(parse_image("busybox:1"))
    with pytest.raises(NotFound):
        await engine.inspect("nobody")
    assert seen == [("list", "ok"), ("has_image", "ok"), ("inspect", "NotFound")]


async def test_how_long_and_not_what_was_given_up() -> None:
    seen: list[float] = []
    engine = FakeEngine()
    instrument(engine, lambda call, outcome, s: seen.append(s))  # type: ignore[arg-type]
    held = engine.hold("list")
    asyncio.get_running_loop().call_later(0.05, held.set)
    await engine.list()
    assert seen[0] >= 0.04
    engine.hold("list")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await engine.list()
    assert len(seen) == 1
