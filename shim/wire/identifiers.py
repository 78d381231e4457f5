"""What a master takes for an id, a UUID, a pid or a version.

Each rule yields what is wrong, beginning with the field: nothing means nothing is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from google.protobuf.message import Message

from shim.wire.framing import parse_pid
from shim.wire.text import unescape

Problems = Iterator[str]

_ID_BYTES = 255
_FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f]")
_VERSION = re.compile(r"[1-9]\d*(\.\d+){0,2}([-+][0-9A-Za-z.+-]+)?")


def missing(message: Message) -> list[str]:
    """Paths of required fields that are not set."""
    if message.IsInitialized():
        return []
    return list(message.FindInitializationErrors())  # type: ignore[attr-defined]  # not in the stubs


def identifier(field: str, value: str) -> Problems:
    """An id becomes a directory's name on a stock agent: so the master takes no other."""
    if not value:
        yield f"{field}: empty"
    elif len(unescape(value)) > _ID_BYTES:
        yield f"{field}: more than {_ID_BYTES} bytes: {value[:40]!r}..."
    elif value in (".", "..") or _FORBIDDEN.search(value):
        yield f"{field}: not an id: {value!r}"


def uuid(field: str, value: bytes) -> Problems:
    """16 raw bytes of one of the versions a master knows, 1 to 5."""
    if len(value) != 16:
        yield f"{field}: {len(value)} bytes, a UUID has 16"
    elif not 1 <= value[6] >> 4 <= 5:
        yield f"{field}: not a UUID of version 1 to 5"


def pid(field: str, text: str) -> Problems:
    """An address that can be answered: the null pid, ``@0.0.0.0:0``, cannot."""
    try:
        parsed = parse_pid(text)
    except ValueError:
        yield f"{field}: not a pid: {text!r}"
        return
    if not parsed.id or parsed.ip == "0.0.0.0" or not parsed.port:
        yield f"{field}: nobody's pid: {text!r}"


def version(field: str, text: str) -> Problems:
    """Masters since 1.2 ignore an agent below 1.0.0, or whose version they cannot read."""
    if not _VERSION.fullmatch(text):
        yield f"{field}: not a version of 1.0.0 or later: {text!r}"
