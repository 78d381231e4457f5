"""How the calls of an engine are measured."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shim.engine.client.endpoint import resolve
from shim.engine.client.http_engine import HttpEngine, measured, outcome_of
from shim.engine.client.transport import Transport
from shim.engine.triton.transport import AnswerLost
from shim.errors import AccessDenied, Ambiguous, InProgress, NotFound, Transient
from shim.model.container import Container


class Engine(HttpEngine):
    """Answers ``inspect`` without an endpoint."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str, float]] = []
        super().__init__(Transport(resolve("/no/such.sock")), self._report)

    def _report(self, *report: object) -> None:
        self.reports.append(report)  # type: ignore[arg-type]

    async def list(self) -> Sequence[Container]:
        return []

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


@pytest.mark.parametrize(
    ("error", "label"),
    [
        (NotFound("x"), "NotFound"),
        (Transient("x"), "Transient"),
        (AccessDenied("x"), "Unwelcome"),
        (Ambiguous("x"), "Doubtful"),
        (InProgress("x"), "Later"),
        (AnswerLost("x"), "Lost"),
    ],
)
def test_outcomes_keep_the_labels_of_earlier_versions(error: Exception, label: str) -> None:
    assert outcome_of(error) == label


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
