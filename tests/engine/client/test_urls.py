from __future__ import annotations

import pytest

from shim.engine.client.urls import as_written


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("/a%20b?q=[1]&r=%2F#x", "/a%20b?q=[1]&r=%2F#x"),
        ("/a b", "/a%20b"),
        ("/a\r\nHost: other", "/a%0D%0AHost:%20other"),
        ("/größe", "/gr%C3%B6%C3%9Fe"),
    ],
)
def test_only_what_no_request_may_hold_is_escaped(text: str, sent: str) -> None:
    assert as_written(text) == sent
