"""Background work that fails is logged and restarted."""

from __future__ import annotations

import asyncio

import pytest

from shim import limits
from shim.agent.supervise import supervise


async def test_it_is_restarted_until_it_returns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "SUPERVISE_RETRY", 0.0)
    outcomes: list[Exception | None] = [
        OSError(28, "full"),
        ExceptionGroup("x", [KeyError()]),
        None,
    ]

    async def run() -> None:
        if error := outcomes.pop(0):
            raise error

    await supervise("the sweep", run)
    assert not outcomes
    assert caplog.text.count("the sweep failed and is restarted in 0 s") == 2


async def test_it_can_be_cancelled() -> None:
    working = asyncio.create_task(supervise("sleep", lambda: asyncio.sleep(1000)))
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
