"""URLs, and the one mapping of aiohttp's exceptions."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError

from shim.engine.client.transport import escape_url, explain


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("/a%20b?q=[1]&r=%2F#x", "/a%20b?q=[1]&r=%2F#x"),
        ("/a b", "/a%20b"),
        ("/a\r\nHost: other", "/a%0D%0AHost:%20other"),
        ("/größe", "/gr%C3%B6%C3%9Fe"),
    ],
)
def test_only_characters_that_no_request_may_hold_are_escaped(text: str, sent: str) -> None:
    assert escape_url(text) == sent


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "no answer in time"),
        (aiohttp.ServerTimeoutError(), "no answer in time"),
        (HttpProcessingError(message="line too long"), "line too long"),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
        (ConnectionResetError(104, "Connection reset by peer"), "[Errno 104] Connection reset by"),
    ],
)
def test_a_request_without_answer_is_explained(error: Exception, text: str) -> None:
    assert explain(error).startswith(text)
