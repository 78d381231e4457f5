"""Single values as the Docker command line takes them: booleans, sizes, durations, addresses.

Every parser raises ValueError with a reason that can be shown to a user.
"""

from __future__ import annotations

import csv
import ipaddress
import re
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext

INT64_MAX = 2**63 - 1

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?) ?(?:([kmgtp])i?b?|b)?", re.IGNORECASE)
_FACTORS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_STEP = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DIGITS = 40
"""The most digits that a number may have. The engine takes no number that needs as many."""


def boolean(text: str) -> bool:
    """Parse a boolean as Go's flag parser does. The empty text is an error."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("Not a boolean (true or false)")


def whole(text: str) -> int:
    """Parse a decimal integer of at most 64 bits, sign included."""
    if not re.fullmatch(rf"[+-]?[0-9]{{1,{_DIGITS}}}", text) or abs(int(text)) > INT64_MAX:
        raise ValueError("Not a whole number")
    return int(text)


def size(text: str) -> int:
    """Parse a size into bytes: ``512``, ``64m``, ``1.5GiB``.

    The units b, k, m, g, t and p are powers of 1024.
    """
    match = _SIZE.fullmatch(text)
    if not match or len(match[1]) > _DIGITS:
        raise ValueError("Not a size (like 512k, 64m or 1.5g)")
    return _exact(match[1], _FACTORS.get((match[2] or "").lower(), 1), "size")


def duration(text: str) -> int:
    """Parse a Go duration that is not negative into nanoseconds: ``1m30s``, ``250ms``, ``0``."""
    if text == "0":
        return 0
    steps = list(_steps(text))
    if not steps:
        raise ValueError("Not a duration (like 1m30s or 250ms)")
    total = sum(_exact(number, _NANOSECONDS[unit], "duration") for number, unit in steps)
    return _bounded(total, "duration")


def nano_cpus(text: str) -> int:
    """Parse a number of CPUs into billionths: ``1.5`` is 1500000000."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]{0,9})?|\.[0-9]{1,9}", text) or len(text) > _DIGITS:
        raise ValueError("Not a number of CPUs (like 1.5, at most 9 decimals)")
    return _exact(text, 10**9, "number of CPUs")


def key_value(text: str) -> tuple[str, str]:
    """Split ``key=value`` at the first ``=``. The value may be empty, the key may not."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError("Not of the form key=value")
    return key, value


def csv_fields(text: str) -> list[str]:
    """Split one CSV row, with quotes as Go's csv reader takes them."""
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise ValueError(f"Not a list of comma-separated values ({error})") from None
    if len(rows) != 1 or not rows[0] or not all(rows[0]):
        raise ValueError("Not a list of comma-separated values")
    return rows[0]


def address(text: str) -> str:
    """Return an IPv4 or IPv6 literal as written."""
    ipaddress.ip_address(text)
    return text


def ipv4(text: str) -> str:
    ipaddress.IPv4Address(text)
    return text


def ipv6(text: str) -> str:
    ipaddress.IPv6Address(text)
    return text


def integer_in(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of integers from ``low`` to ``high``, both included."""

    def parse(text: str) -> int:
        value = whole(text)
        if not low <= value <= high:
            raise ValueError(f"Not in {low}..{high}")
        return value

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser that takes exactly these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"Not one of {', '.join(words)}")
        return text

    return parse


def swap(text: str) -> int:
    """Parse ``--memory-swap``: a size, or -1 for unlimited swap."""
    return -1 if text == "-1" else size(text)


def blkio_weight(text: str) -> int:
    """Parse a block I/O weight: 10..1000, or 0 for none."""
    return 0 if text == "0" else integer_in(10, 1000)(text)


def _steps(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if not match or len(match[1]) > _DIGITS:
            raise ValueError("Not a duration (like 1m30s or 250ms)")
        yield match[1], match[2]
        position = match.end()


def _exact(number: str, factor: int, what: str) -> int:
    with localcontext(prec=3 * _DIGITS):
        return _bounded(int(Decimal(number) * factor), what)


def _bounded(value: int, what: str) -> int:
    if value > INT64_MAX:
        raise ValueError(f"Too large a {what}")
    return value
