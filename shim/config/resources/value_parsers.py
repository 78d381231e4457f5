"""Numbers, ranges, sets and JSON in flags. The parsers raise ValueError for other texts."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from shim.model.json_text import LONE_SURROGATE, has_lone_surrogate

Ranges = tuple[tuple[int, int], ...]

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
UINT64 = 2**64


def parse_ranges(text: str) -> Ranges:
    """``[1-2, 5-6]``, sorted. Ranges must not overlap."""
    body = text.strip()
    if not (body.startswith("[") and body.endswith("]")):
        raise ValueError(f"{text!r} is not [first-last, ...]")
    spans = [_span(part) for part in body[1:-1].split(",")]
    return tuple(check_spans("ranges", spans, UINT64 - 1))


def _span(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*([0-9]{1,20})\s*(?:-\s*([0-9]{1,20})\s*)?", text)
    if not found:
        raise ValueError(f"{text.strip()!r} is not a range, such as 31000-32000")
    return int(found[1]), int(found[2] or found[1])


def check_spans(name: str, spans: list[tuple[int, int]], last: int) -> list[tuple[int, int]]:
    """Sorted ranges. ValueError for one that is reversed, beyond ``last`` or overlaps another."""
    ordered = sorted(spans)
    if not ordered:
        raise ValueError(f"{name}: no range")
    for begin, end in ordered:
        if begin > end or end > last:
            raise ValueError(f"{name}: {begin}-{end} is not within 0-{last}, the smaller first")
    for before, after in pairwise(ordered):
        if after[0] <= before[1]:
            raise ValueError(f"{name}: {before[0]}-{before[1]} and {after[0]}-{after[1]} overlap")
    return ordered


def parse_items(text: str) -> list[str]:
    """``{a, b}``, as written."""
    if not text.endswith("}"):
        raise ValueError(f"{text!r} is not {{item, ...}}")
    items = [item.strip() for item in text[1:-1].split(",")]
    if not all(items):
        raise ValueError(f"{text!r} has an empty item")
    return items


def parse_json(text: str) -> Any:
    """Any JSON. ValueError also for JSON that is nested too deep."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if has_lone_surrogate(value):
        raise ValueError(LONE_SURROGATE)
    return value


def fill(document: Any, message: Message) -> None:
    """Fill a message from parsed JSON. Unknown fields and missing required ones are errors."""
    try:
        json_format.ParseDict(document, message)
    except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{message.DESCRIPTOR.name}: {error}") from None
    if not message.IsInitialized():
        missing = message.FindInitializationErrors()  # type: ignore[attr-defined]  # no stub
        raise ValueError(f"{message.DESCRIPTOR.name}: {', '.join(missing)} missing")
