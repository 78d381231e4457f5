"""How the calls of an engine are measured."""

from __future__ import annotations

import asyncio

import pytest

from shim.engine.client.endpoint import resolve
from shim.engine.client.http_engine import HttpEngine, measured
from shim.engine.client.transport import Transport
from shim.errors import NotFound


class Engine(HttpEngine):
    """Answers ``inspect`` without an endpoint."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str, float]] = []
        super().__init__(Transport(resolve("/no/such.sock")), self._report)

    def _report(self, *report: object) -> None:
        self.reports.append(report)  # type: ignore[arg-type]

    @measured
    async def inspect(self, name: str) -> str:
        if name == "missing":
            raise NotFound(name)
        await asyncio.sleep(0.05)
        return name

    @measured
    async def stop(self, name: str) -> None:
        await self.inspect(name)


async def test_each_call_is_reported_with_its_outcome() -> None:
    engine = Engine()
    assert await engine.inspect("a") == "a"
    with pytest.raises(NotFound):
        await engine.inspect("missing")
    assert [report[:2] for report in engine.reports] == [("inspect", "ok"), ("inspect", "NotFound")]
    assert 0.04 <= engine.reports[0][2] < 5
    await engine.close()


async def test_calls_that_an_engine_makes_itself_are_reported_too() -> None:
    engine = Engine()
    await engine.stop("a")
    assert [verb for verb, _, _ in engine.reports] == ["inspect", "stop"]
    await engine.close()


async def test_a_cancelled_call_is_not_reported() -> None:
    engine = Engine()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await engine.inspect("a")
    assert engine.reports == []
    await engine.close()
