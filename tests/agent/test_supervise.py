"""What fails beside the tasks begins again, loudly, and ends nothing."""

from __future__ import annotations

import asyncio

import pytest

from shim import limits
from shim.agent.supervise import supervise


async def test_it_begins_again_until_it_returns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "UPKEEP_RETRY", 0.0)
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
    assert caplog.text.count("the sweep failed, and begins again") == 2


async def test_it_is_cancelled_like_anything_else() -> None:
    working = asyncio.create_task(supervise("sleep", lambda: asyncio.sleep(1000)))
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
