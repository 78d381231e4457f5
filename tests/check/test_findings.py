from __future__ import annotations

import asyncio
import json

import pytest

from shim import limits
from shim.check.findings import Failed, Finding, Look, as_json, as_text
from shim.errors import AccessDenied, Transient


async def answer() -> str:
    return "there"


async def test_a_good_look_says_what_was_found() -> None:
    assert await Look("x", "do this", answer)() == Finding("x", True, "there")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Transient("gone"), "do this"),
        (Failed("gone"), "do this"),
        (Failed("gone", "that"), "that"),
        (AccessDenied("gone"), ""),
    ],
)
async def test_a_failed_look_says_what_to_do(error: Exception, advice: str) -> None:
    async def look() -> str:
        raise error

    assert await Look("x", "do this", look)() == Finding("x", False, "gone", advice)


async def test_a_look_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHECK_TIMEOUT", 0.01)
    found = await Look("x", "do this", asyncio.Event().wait)()  # type: ignore[arg-type]
    assert found == Finding("x", False, "no answer within 0.01 s", "do this")


FINDINGS = [Finding("a", True, "fine"), Finding("b", False, "bad\nthing", "mend it")]


def test_people_get_one_line_each() -> None:
    assert as_text(FINDINGS) == "ok    a            fine\nFAIL  b            bad thing; mend it"


def test_machines_get_json() -> None:
    assert json.loads(as_json(FINDINGS)) == {
        "ok": False,
        "findings": [
            {"what": "a", "ok": True, "found": "fine", "advice": ""},
            {"what": "b", "ok": False, "found": "bad\nthing", "advice": "mend it"},
        ],
    }
    assert json.loads(as_json(FINDINGS[:1]))["ok"] is True
