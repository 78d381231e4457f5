from __future__ import annotations

import asyncio
import json

import pytest

from shim import limits
from shim.check.report import Check, CheckFailed, CheckResult, results_json, results_text
from shim.errors import AccessDenied, Transient


async def answer() -> str:
    return "there"


async def test_a_successful_check_returns_its_text() -> None:
    assert await Check("x", "do this", answer)() == CheckResult("x", True, "there")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Transient("gone"), "do this"),
        (CheckFailed("gone"), "do this"),
        (CheckFailed("gone", "that"), "that"),
        (AccessDenied("gone"), ""),
    ],
)
async def test_a_failed_check_returns_advice(error: Exception, advice: str) -> None:
    async def probe() -> str:
        raise error

    assert await Check("x", "do this", probe)() == CheckResult("x", False, "gone", advice)


async def test_a_check_has_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHECK_TIMEOUT", 0.01)
    found = await Check("x", "do this", asyncio.Event().wait)()  # type: ignore[arg-type]
    assert found == CheckResult("x", False, "no answer within 0.01 s", "do this")


RESULTS = [CheckResult("a", True, "fine"), CheckResult("b", False, "bad\nthing", "repair it")]


def test_text_has_one_line_for_each_result() -> None:
    assert (
        results_text(RESULTS) == "ok    a            fine\nFAIL  b            bad thing; repair it"
    )


def test_json_output() -> None:
    assert json.loads(results_json(RESULTS)) == {
        "ok": False,
        "findings": [
            {"what": "a", "ok": True, "found": "fine", "advice": ""},
            {"what": "b", "ok": False, "found": "bad\nthing", "advice": "repair it"},
        ],
    }
    assert json.loads(results_json(RESULTS[:1]))["ok"] is True
