from __future__ import annotations

import pytest

from shim.errors import Transient, error_text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Transient("the disk is full"), "the disk is full"),
        (TimeoutError(), "TimeoutError"),
        (OSError(2, "No such file", "/x"), "/x: No such file"),
        (OSError(104, "Connection reset by peer"), "[Errno 104] Connection reset by peer"),
    ],
)
def test_what_an_error_says(error: Exception, text: str) -> None:
    assert error_text(error) == text
