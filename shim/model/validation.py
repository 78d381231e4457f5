"""What Mesos accepts as an id, a role and an agent's version.

Shared by the code that checks outgoing messages, by the embedded master, and by the flags. Each
function returns what is wrong, fit to follow the name of a field, or None.

Source: Mesos' ``common/validation.cpp`` and stout's ``version.hpp``.
"""

from __future__ import annotations

import re

MAX_ID_BYTES = 255
"""An agent uses ids as directory names; file systems take 255 bytes."""

_FORBIDDEN_IN_ID = re.compile(r"[/\\\x00-\x1f\x7f]")
_VERSION = re.compile(r"(\d+)(\.\d+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", re.ASCII)


def id_problem(value: str, size: int | None = None) -> str | None:
    """Why ``value`` is not valid as the id of an agent, framework, executor or task.

    ``size`` is its length on the wire in bytes, where that differs from its length in UTF-8.
    """
    if not value:
        return "empty"
    if size is None:
        size = len(value.encode(errors="replace"))
    if size > MAX_ID_BYTES:
        return f"more than {MAX_ID_BYTES} bytes: {value[:40]!r}..."
    if value in (".", "..") or _FORBIDDEN_IN_ID.search(value):
        return f"not an id: {value!r}"
    return None


def uuid_problem(value: bytes) -> str | None:
    """Why ``value`` is not 16 bytes of a UUID of version 1 to 5, as a master accepts it."""
    if len(value) != 16:
        return f"{len(value)} bytes, a UUID has 16"
    if not 1 <= value[6] >> 4 <= 5:
        return "not a UUID of version 1 to 5"
    return None


_FORBIDDEN_IN_ROLE = re.compile(r"[\s\\\x00-\x20\x7f]")


def role_problem(role: str) -> str | None:
    """Why ``role`` is not a valid role. ``a/b`` is a role below ``a``."""
    if role == "*":
        return None
    if any(part in ("", ".", "..", "*") or part.startswith("-") for part in role.split("/")):
        return f"{role!r} is not a role"
    return f"{role!r} is not a role" if _FORBIDDEN_IN_ROLE.search(role) else None


def version_problem(text: str) -> str | None:
    """Why a master ignores an agent of this version: Mesos 1.2 and later want at least 1.0.0."""
    match = _VERSION.fullmatch(text)
    if match is None or int(match[1]) < 1:
        return f"not a version of 1.0.0 or later: {text!r}"
    return None
