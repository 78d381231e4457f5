"""Tables, ages and amounts."""

from __future__ import annotations

import pytest

from shim.client.text import age, json_line, megabytes, printable, table


def test_columns_are_as_wide_as_their_longest_value() -> None:
    assert table(("A", "LONG"), [("first", "x"), ("b", "")]) == ["A      LONG", "first  x", "b"]


def test_a_value_cannot_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\n\u202ec") == "a?[2Jb??c"
    assert table(("A",), [("\x1b]0;x\x07",)])[1] == "?]0;x?"
    line = json_line({"a": "\x1b\x9b\u202eö"})
    assert line == r'{"a": "\u001b\u009b\u202eö"}'


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (172_800, "2 d"), (100_000, "27 h")],
)
def test_ages(seconds: float, expected: str) -> None:
    assert age(seconds) == expected


def test_amounts_of_memory() -> None:
    assert (megabytes(512), megabytes(1536)) == ("512 MB", "1.5 GB")
