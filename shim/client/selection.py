"""Which tasks a command means: words of a filter, and the beginning of an id. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shim.errors import ConfigError, NotFound

Row = Mapping[str, Any]
"""A task as the live page gets it: see ``shim.http.live.rows``."""

SHOWN = 5
"""Candidates that an error names."""

_FAILED = frozenset(
    {"failed", "lost", "error", "dropped", "gone", "gone_by_operator", "unreachable"}
)


def short_state(row: Row) -> str:
    return str(row["state"]).removeprefix("TASK_").lower()


_FIELDS: Mapping[str, Callable[[Row], str]] = {
    "state": short_state,
    "task": lambda row: row["task"],
    "name": lambda row: row["name"],
    "framework": lambda row: f"{row['framework']} {row['framework_id']}",
    "image": lambda row: row["image"],
    "pod": lambda row: row.get("pod", ""),
    "address": lambda row: " ".join(row["addresses"]),
    "package": lambda row: row.get("package", ""),
    "id": lambda row: row["id"],
    "message": lambda row: row.get("message", ""),
}
_IS: Mapping[str, Callable[[Row], bool]] = {
    "live": lambda row: bool(row["live"]),
    "ended": lambda row: not row["live"],
    "failed": lambda row: short_state(row) in _FAILED,
    "healthy": lambda row: row.get("healthy") is True,
    "unhealthy": lambda row: row.get("healthy") is False,
}

FILTER_WORDS = (*(f"{name}:" for name in _FIELDS), *(f"is:{name}" for name in _IS))
"""What a word of a filter may begin with."""


def matches(row: Row, words: Iterable[str]) -> bool:
    """Whether every word fits: ``state:running``, ``is:failed``, or a word anywhere in the row.

    Raises ConfigError for an unknown ``is:``.
    """
    return all(_fits(row, word.lower()) for word in words)


def _fits(row: Row, word: str) -> bool:
    key, colon, value = word.partition(":")
    if colon and key == "is":
        if value not in _IS:
            raise ConfigError(f"{word}: not one of {', '.join(f'is:{name}' for name in _IS)}")
        return _IS[value](row)
    if colon and key in _FIELDS:
        return value in _FIELDS[key](row).lower()
    return any(word in text(row).lower() for text in _FIELDS.values())


def find_task(rows: Sequence[Row], wanted: str) -> Row:
    """The task of this id, or of an id that begins so. Raises NotFound; ConfigError if many do.

    Ids are those of tasks, of containers, and ``FRAMEWORK_ID/TASK_ID``. An exact one counts before
    a beginning, and a live task before an ended one.
    """
    if not wanted:
        # The beginning of every id; mostly a variable of a script that is not set.
        raise ConfigError("an empty id names no task")
    exact = [row for row in rows if wanted in _ids(row)]
    found = exact or [row for row in rows if any(i.startswith(wanted) for i in _ids(row))]
    found = [row for row in found if row["live"]] or found
    if not found:
        raise NotFound(f"no task's id begins with {wanted!r}")
    tasks = {(row["framework_id"], row["task"]) for row in found}
    if len(tasks) > 1:
        names = ", ".join(sorted(f"{framework}/{task}" for framework, task in tasks)[:SHOWN])
        more = f" and {len(tasks) - SHOWN} more" if len(tasks) > SHOWN else ""
        raise ConfigError(f"{wanted!r} is the beginning of several ids: {names}{more}")
    return max(found, key=lambda row: float(row["accepted"]))


def _ids(row: Row) -> tuple[str, ...]:
    container = f"mesos-{row['id']}"
    return row["task"], row["id"], container, f"{row['framework_id']}/{row['task']}"
