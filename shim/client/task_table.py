"""The table of tasks and the line of a change, for ``ps``, ``events`` and ``run``. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from shim.client import text
from shim.client.selection import Row, short_state

HEAD = ("TASK", "STATE", "SINCE", "CPUS", "MEMORY", "ADDRESS", "IMAGE", "FRAMEWORK")


def task_table(rows: Iterable[Row], now: float) -> str:
    """``now``: seconds since the epoch, by the clock of the rows."""
    return "\n".join(text.table(HEAD, [_cells(row, now) for row in rows]))


def _cells(row: Row, now: float) -> tuple[str, ...]:
    state = row.get("stage") or short_state(row)
    if "healthy" in row and row["live"]:
        state += ", healthy" if row["healthy"] else ", unhealthy"
    return (
        row["task"],
        state,
        text.age(now - row.get("since", row["accepted"])),
        f"{row['cpus']:g}",
        text.megabytes(row["mem"]),
        ",".join(row["addresses"]),
        row["image"],
        row["framework"],
    )


def event_line(row: Row) -> str:
    what = row.get("stage") or row.get("message", "")
    health = "" if "healthy" not in row else "healthy" if row["healthy"] else "unhealthy"
    at = moment(row.get("since", row["accepted"]))
    parts = (at, short_state(row), row["framework"], row["task"], health, what)
    return text.printable(" ".join(filter(None, parts)))


def moment(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds")
