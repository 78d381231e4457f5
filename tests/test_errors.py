from __future__ import annotations

import pytest

from shim.errors import Transient, told


@pytest.mark.parametrize(
    ("error", "text"),
    [(Transient("the disk is full"), "the disk is full"), (TimeoutError(), "TimeoutError")],
)
def test_an_error_without_words_is_told_by_its_class(error: Exception, text: str) -> None:
    assert told(error) == text
