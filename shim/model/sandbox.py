"""Entries of a task's sandbox, as the files pages show them."""

from __future__ import annotations

from dataclasses import dataclass

STDOUT, STDERR = "stdout", "stderr"
OUTPUTS = (STDERR, STDOUT)
"""The files of every sandbox, sorted by name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or directory."""

    name: str
    size: int = 0
    mtime: float = 0.0
    """Seconds since the epoch."""
    mode: str = "-rw-r--r--"
    """As ``ls -l`` shows it."""
    nlink: int = 1
    uid: str = "root"
    gid: str = "root"
