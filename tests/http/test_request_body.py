"""The bodies of calls. The tests of both APIs show them over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from shim import limits
from shim.http.request_body import read_body
from shim.http.responses import HttpError


def request_of(*parts: bytes, ends: bool = True) -> Any:
    async def iter_any() -> AsyncIterator[bytes]:
        for part in parts:
            yield part
        if not ends:
            await asyncio.Event().wait()

    return SimpleNamespace(content=SimpleNamespace(iter_any=iter_any))


async def test_a_body_may_be_as_long_as_allowed() -> None:
    assert await read_body(request_of(b"abc", b"de"), 5) == b"abcde"


async def test_a_longer_body_is_refused_before_its_end() -> None:
    with pytest.raises(HttpError) as refused:
        await read_body(request_of(b"abc", b"def", ends=False), 5)
    assert (refused.value.status, refused.value.text) == (413, "A call has at most 5 bytes")


async def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUEST_BODY_TIMEOUT", 0.05)
    with pytest.raises(HttpError) as refused:
        await read_body(request_of(b"abc", ends=False), 5)
    text = "The body did not come within 0.05 s"
    assert (refused.value.status, refused.value.text) == (408, text)
