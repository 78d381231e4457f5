"""Rules of single fields: ids, UUIDs, pids, versions.

Each rule yields problems that begin with the field's name. A valid value yields nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from shim.model.validation import id_problem, uuid_problem, version_problem
from shim.wire.framing import parse_pid
from shim.wire.non_utf8 import unescape

Problems = Iterator[str]


def missing(message: Message) -> list[str]:
    """Paths of required fields that are not set."""
    if message.IsInitialized():
        return []
    return list(message.FindInitializationErrors())  # type: ignore[attr-defined]  # not in the stubs


def identifier(field: str, value: str) -> Problems:
    """An id as a master accepts it. A stock agent uses ids as directory names."""
    if problem := id_problem(value, len(unescape(value))):
        yield f"{field}: {problem}"


def uuid(field: str, value: bytes) -> Problems:
    """16 bytes of a UUID of version 1 to 5, as a master accepts it."""
    if problem := uuid_problem(value):
        yield f"{field}: {problem}"


def pid(field: str, text: str) -> Problems:
    """A pid to which an answer can be sent. The null pid ``@0.0.0.0:0`` is not one."""
    try:
        parsed = parse_pid(text)
    except ValueError:
        yield f"{field}: not a pid: {text!r}"
        return
    if not parsed.id or parsed.ip == "0.0.0.0" or not parsed.port:
        yield f"{field}: a pid without an address: {text!r}"


def version(field: str, text: str) -> Problems:
    """An agent's version. Masters since 1.2 ignore agents below 1.0.0."""
    if problem := version_problem(text):
        yield f"{field}: {problem}"
