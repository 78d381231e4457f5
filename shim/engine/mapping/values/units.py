"""Texts as the Docker command line takes them: sizes, durations, booleans, ports, lists.

Every function raises ValueError with a reason that can be shown to a user.
"""

from __future__ import annotations

import csv
import ipaddress
import re
from collections.abc import Iterator
from decimal import Decimal, localcontext

INT64_MAX = 2**63 - 1
PROTOCOLS = ("tcp", "udp", "sctp")

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
"""More than any number the engine takes has; longer texts are not worth computing with."""


def boolean(text: str) -> bool:
    """The words Go's flag parser takes for a boolean; nothing else, the empty text neither."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("Not a boolean (true or false)")


def whole(text: str) -> int:
    """A decimal integer that fits into 64 bits."""
    if not re.fullmatch(rf"[+-]?[0-9]{{1,{_DIGITS}}}", text) or abs(int(text)) > INT64_MAX:
        raise ValueError("Not a whole number")
    return int(text)


def size(text: str) -> int:
    """Bytes: a number with an optional b, k, m, g, t or p (powers of 1024), ``64m``, ``1.5GiB``."""
    match = _SIZE.fullmatch(text)
    if not match or len(match[1]) > _DIGITS:
        raise ValueError("Not a size (like 512k, 64m or 1.5g)")
    return _exact(match[1], _FACTORS.get((match[2] or "").lower(), 1), "size")


def duration(text: str) -> int:
    """Nanoseconds: a Go duration that is not negative, ``1m30s``, ``250ms``, ``0``."""
    if text == "0":
        return 0
    steps = list(_steps(text))
    if not steps:
        raise ValueError("Not a duration (like 1m30s or 250ms)")
    total = sum(_exact(number, _NANOSECONDS[unit], "duration") for number, unit in steps)
    return _bounded(total, "duration")


def nano_cpus(text: str) -> int:
    """CPUs as billionths: ``1.5`` is 1500000000."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]{0,9})?|\.[0-9]{1,9}", text) or len(text) > _DIGITS:
        raise ValueError("Not a number of CPUs (like 1.5, at most 9 decimals)")
    return _exact(text, 10**9, "number of CPUs")


def key_value(text: str) -> tuple[str, str]:
    """``k=v``; the value may hold further ``=`` and may be empty, the key not."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError("Not of the form key=value")
    return key, value


def fields(text: str) -> list[str]:
    """One CSV row, quotes as Go's reader takes them."""
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise ValueError(f"Not a list of comma-separated values ({error})") from None
    if len(rows) != 1 or not rows[0] or not all(rows[0]):
        raise ValueError("Not a list of comma-separated values")
    return rows[0]


def port_range(text: str) -> range:
    """``80`` or ``8000-8010``, within 1..65535."""
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
    if not match:
        raise ValueError("Not a port or a range of ports (like 80 or 8000-8010)")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= 65535:
        raise ValueError("Ports must be in 1..65535, the smaller first")
    return range(first, last + 1)


def protocol(text: str) -> str:
    """``tcp``, ``udp`` or ``sctp`` in lower case; empty means tcp."""
    word = text.lower() or "tcp"
    if word not in PROTOCOLS:
        raise ValueError("Not a protocol (tcp, udp or sctp)")
    return word


def address(text: str) -> str:
    """An IP address literal, as written."""
    ipaddress.ip_address(text)
    return text


def ipv4(text: str) -> str:
    ipaddress.IPv4Address(text)
    return text


def ipv6(text: str) -> str:
    ipaddress.IPv6Address(text)
    return text


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
