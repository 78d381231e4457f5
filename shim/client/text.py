"""Text of the commands: tables, ages, amounts. Pure."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Sequence

DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Characters that turn text around, as a part of a regular expression's character class."""

_CONTROL = re.compile(rf"[\x00-\x1f\x7f-\x9f{DIRECTIONS}]")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their longest value; the last one is not padded."""
    lines = [list(head), *([printable(value) for value in row] for row in rows)]
    widths = [max(width(line[i]) for line in lines) for i in range(len(head))]
    return [
        "  ".join(padded(v, w) for v, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def width(text: str) -> int:
    """Columns of a terminal."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def padded(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def shortened(text: str, columns: int) -> str:
    """Its beginning, that has room."""
    if text.isascii():
        return text[:columns]
    ends = itertools.accumulate(map(_width, text))
    return text[: sum(end <= columns for end in ends)]


def printable(text: str) -> str:
    """Control characters as ``?``: what a task is named cannot move the terminal's cursor."""
    return _CONTROL.sub("?", text)


def json_line(value: object) -> str:
    """For programs: one document on one line, whose control characters are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def age(seconds: float) -> str:
    for unit, length in (("d", 172_800), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // (86_400 if unit == 'd' else length):.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def megabytes(amount: float) -> str:
    return f"{amount / 1024:.1f} GB" if amount >= 1024 else f"{amount:.0f} MB"
