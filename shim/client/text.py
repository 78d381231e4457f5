"""Text of the commands: tables, ages, amounts. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their longest value; the last one is not padded."""
    lines = [list(head), *([printable(value) for value in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return [
        "  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip() for line in lines
    ]


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
