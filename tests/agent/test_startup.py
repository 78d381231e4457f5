"""The agent waits for its Docker endpoint, and reports why."""

from __future__ import annotations

import logging

import pytest

from shim import limits
from shim.agent import startup
from shim.config import load
from shim.engine.api import Engine, EngineInfo
from shim.errors import Transient


class LateEngine:
    """Answers at the third call."""

    def __init__(self) -> None:
        self.errors = [Transient("Unauthorized (1)"), Transient("Unauthorized (2)")]

    def __str__(self) -> str:
        return "https://dc:2376"

    async def info(self) -> EngineInfo:
        if self.errors:
            raise self.errors.pop(0)
        return EngineInfo("triton", "1.9.0", "1.21", "us-east-1", account="bob")


@pytest.fixture(autouse=True)
def _short_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ENDPOINT_RETRY", 0.01)


async def test_each_failed_question_is_reported_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reasons: list[str] = []
    with caplog.at_level(logging.INFO):
        info = await startup.engine_info(LateEngine(), reasons.append)  # type: ignore[arg-type]
    assert info.name == "us-east-1"
    assert reasons == ["Unauthorized (1)", "Unauthorized (2)"]
    assert [record.getMessage() for record in caplog.records] == [
        "the Docker endpoint https://dc:2376 does not answer: Unauthorized (1)",
        "the Docker endpoint https://dc:2376 does not answer: Unauthorized (2)",
        "Docker endpoint https://dc:2376: triton 1.9.0 (API 1.21) on us-east-1, account bob",
    ]


async def test_each_failed_question_for_the_kind_of_engine_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = LateEngine()

    async def connect(*_: object) -> Engine:
        await late.info()
        return late  # type: ignore[return-value]

    monkeypatch.setattr(startup, "connect", connect)
    reasons: list[str] = []
    config = load(["--master=127.0.0.1:5050"], {})
    assert await startup.connect_engine(config, "me", reasons.append) is late  # type: ignore[comparison-overlap]
    assert reasons == ["Unauthorized (1)", "Unauthorized (2)"]


def test_the_info_of_a_local_engine_shows_its_size() -> None:
    info = EngineInfo("docker", "24.0", "1.43", "vm", 2.0, 4096)
    assert str(info) == "docker 24.0 (API 1.43) on vm, 2 cpus, 4096 MB"
