"""Waiting for the endpoint at the start of the agent."""

from __future__ import annotations

import logging

import pytest

from shim import limits
from shim.agent import engine_startup
from shim.config import Config, load
from shim.engine.api import Engine, EngineInfo
from shim.errors import Transient


class Late:
    """An endpoint that says no twice."""

    def __init__(self) -> None:
        self.troubles = [Transient("Unauthorized (1)"), Transient("Unauthorized (2)")]

    def __str__(self) -> str:
        return "https://dc:2376"

    async def info(self) -> EngineInfo:
        if self.troubles:
            raise self.troubles.pop(0)
        return EngineInfo("triton", "1.9.0", "1.21", "us-east-1", account="bob")


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ENDPOINT_RETRY", 0.01)


async def test_why_it_is_waited_for_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    with caplog.at_level(logging.INFO):
        info = await engine_startup.answer(Late(), told.append)  # type: ignore[arg-type]
    assert info.name == "us-east-1"
    assert told == ["Unauthorized (1)", "Unauthorized (2)"]
    assert [record.getMessage() for record in caplog.records] == [
        "the Docker endpoint https://dc:2376 gives no answer: Unauthorized (1)",
        "the Docker endpoint https://dc:2376 gives no answer: Unauthorized (2)",
        "Docker endpoint https://dc:2376: triton 1.9.0 (API 1.21) on us-east-1, account bob",
    ]


async def test_why_nobody_knows_what_it_is_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Late()

    async def connect(config: Config, owner: str, observe_call: object) -> Engine:
        await late.info()
        return late  # type: ignore[return-value]

    monkeypatch.setattr(engine_startup, "connect", connect)
    told: list[str] = []
    config = load(["--master=127.0.0.1:5050"], {})
    assert await engine_startup.connected(config, "me", told.append) is late  # type: ignore[comparison-overlap]
    assert told == ["Unauthorized (1)", "Unauthorized (2)"]


def test_a_local_engine_says_how_large_it_is() -> None:
    info = EngineInfo("docker", "24.0", "1.43", "vm", 2.0, 4096)
    assert str(info) == "docker 24.0 (API 1.43) on vm, 2 cpus, 4096 MB"
