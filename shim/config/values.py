"""Parsers of flag values, in mesos-agent's formats: numbers, durations, sizes, addresses.

A parser raises ValueError with a reason that fits behind ``--flag=value: ``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)(ns|us|ms|secs|mins|hrs|days|weeks)")
_SECONDS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "secs": Decimal(1),
    "mins": Decimal(60),
    "hrs": Decimal(3600),
    "days": Decimal(86400),
    "weeks": Decimal(604800),
}
_LONGEST = Decimal(2**63 - 1) * _SECONDS["ns"]
_SIZE = re.compile(r"([0-9]{1,15})(B|KB|MB|GB|TB)")
_BYTES = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_HOSTNAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")


@dataclass(frozen=True, slots=True)
class ValueKind:
    """A kind of value: its placeholder in help texts, and its parser."""

    placeholder: str
    parse: Callable[[str], Any]
    from_file: bool = True
    """Whether ``file:///path`` means the contents of the file; false for values that are paths."""


def boolean(text: str) -> bool:
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise ValueError("neither true nor false")


def duration(text: str) -> float:
    """Seconds: a number and one of ns, us, ms, secs, mins, hrs, days, weeks; ``1.5mins``."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError("not a duration, such as 500ms, 10secs, 1.5mins, 2hrs, 1days")
    seconds = Decimal(found[1]) * _SECONDS[found[2]]
    if seconds > _LONGEST:
        raise ValueError("longer than the longest duration of mesos-agent")
    return float(seconds)


def size(text: str) -> int:
    """Bytes: a whole number and one of B, KB, MB, GB, TB (powers of 1024); ``2GB``."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError("not a size, such as 64MB or 2GB")
    return int(found[1]) * _BYTES[found[2]]


def count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) == 0:
        raise ValueError("not a whole number from 1 to 999999")
    return int(text)


def number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError("not a whole number from 0 to 999999")
    return int(text)


def port(text: str) -> int:
    """A port; 0 means any free port."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise ValueError("not a port from 0 to 65535")
    return int(text)


def ipv4(text: str) -> str:
    """An IPv4 address, the only kind that libprocess supports."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError("not an IPv4 address") from None


def hostname(text: str) -> str:
    if not _HOSTNAME.fullmatch(text):
        raise ValueError("not a host name")
    return text


def identifier(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", text):
        raise ValueError("not 1 to 128 letters, digits, dots, dashes and underscores")
    return text


def path(text: str) -> Path:
    """A path on this machine, or ``file:///path``."""
    name = text.removeprefix("file://")
    if not name or "\0" in name:
        raise ValueError("not a path")
    return Path(name)


def text(value: str) -> str:
    if "\0" in value:
        raise ValueError("contains a NUL character")
    return value


def one_of(*words: str) -> ValueKind:
    """A kind that accepts one of these words."""

    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"not one of {', '.join(words)}")
        return value

    return ValueKind("|".join(words), parse)


BOOLEAN = ValueKind("true|false", boolean)
DURATION = ValueKind("DURATION", duration)
SIZE = ValueKind("SIZE", size)
COUNT = ValueKind("NUMBER", count)
NUMBER = ValueKind("NUMBER", number)
PORT = ValueKind("PORT", port)
IPV4 = ValueKind("IP", ipv4)
HOSTNAME = ValueKind("NAME", hostname)
PATH = ValueKind("PATH", path, from_file=False)
TEXT = ValueKind("TEXT", text)
