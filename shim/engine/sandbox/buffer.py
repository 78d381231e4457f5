"""The output of one container: read from its log, buffered in memory, written to disk.

A log is read in several passes, since an engine's connection may end at any time. A pass begins
``LOG_OVERLAP`` seconds before the last line of the pass before, because engines stamp stdout and
stderr independently. A :class:`LogCursor` for each stream recognizes the lines that were taken
already. Example::

    pass 1 takes stdout  100.0 "a"   100.5 "b"   100.5 "c"
           cursor        timestamp_s=100.5, lines=2     (two lines bear the last timestamp)
    pass 2 asks for the log since 99.5 s (LOG_OVERLAP is 1 s) and gets
           stdout        100.0 "a"   skipped: before the cursor
                         100.5 "b"   skipped: the first of 2 lines at 100.5
                         100.5 "c"   skipped: the second
                         100.5 "d"   taken: a third line at 100.5
                         100.2 "e"   taken: after a taken line, order counts and time does not
           cursor        timestamp_s=100.2, lines=1

The cursors are stored with the output in ``about.json``. Output beyond the stored size is what a
crash left behind: it is dropped and taken again from the log.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shim import limits
from shim.engine.sandbox.output_file import OutputFile
from shim.model.container import STDERR, STDOUT, Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey

ABOUT = "about.json"
NAMES = {1: STDOUT, 2: STDERR}
"""Output name by stream number of the engine's log."""


@dataclass(slots=True)
class LogCursor:
    """How far the log of one stream was taken."""

    timestamp_s: float = 0.0
    """The timestamp of the last line, in seconds since the epoch."""
    lines: int = 0
    """Lines in a row that bear this timestamp."""

    def advance(self, timestamp_s: float) -> None:
        """Count a taken line."""
        if timestamp_s == self.timestamp_s:
            self.lines += 1
        else:
            self.timestamp_s, self.lines = timestamp_s, 1


@dataclass(slots=True)
class _OverlapFilter:
    """Skips the lines of one pass and one stream that an earlier pass took."""

    timestamp_s: float
    """Of the cursor at the beginning of the pass. 0: no more lines are skipped."""
    lines_left: int
    """Lines at that timestamp that are still to be skipped."""

    def is_new(self, timestamp_s: float) -> bool:
        """Return whether a line is to be taken. Call once for each line, in order."""
        at_cursor = timestamp_s == self.timestamp_s
        if timestamp_s > self.timestamp_s or (at_cursor and self.lines_left == 0):
            # All further lines are new: a clock that is set back must not hide them.
            self.timestamp_s = 0.0
        if not self.timestamp_s:
            return True
        self.lines_left -= at_cursor
        return False


@dataclass(slots=True)
class Batch:
    """Output to write by name, and the cursors that hold when it is written."""

    output: dict[str, bytearray] = field(default_factory=dict)
    cursors: dict[str, tuple[float, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.output)


class OutputBuffer:
    """stdout and stderr of one container.

    The event loop calls the methods of the first part. Methods of the second part block on the
    disk: a thread calls them, one at a time.
    """

    def __init__(self, ref: Ref) -> None:
        self.ref = ref
        self.ended_s = 0.0
        """When the final logs were collected, in seconds since the epoch. 0 before."""
        self.mtime = 0.0
        """When output was last written, in seconds since the epoch."""
        self._files: dict[str, OutputFile] = {}
        self._cursors = {name: LogCursor() for name in NAMES.values()}
        self._filters: dict[str, _OverlapFilter] = {}
        self._batch = Batch()
        self.unwritten = 0
        """Bytes in memory."""

    # --- reading a log (event loop) ---------------------------------------------------------

    def begin_pass(self) -> float:
        """Begin to read the log again. Return the time to read it from, in seconds."""
        self._filters = {
            name: _OverlapFilter(cursor.timestamp_s, cursor.lines)
            for name, cursor in self._cursors.items()
        }
        latest_s = max(cursor.timestamp_s for cursor in self._cursors.values())
        return max(0.0, latest_s - limits.LOG_OVERLAP)

    def take(self, stream: int, timestamp_s: float, line: bytes) -> None:
        """Take one line of the log, unless an earlier pass took it."""
        name = NAMES.get(stream, STDOUT)
        if not self._filters[name].is_new(timestamp_s):
            return
        self._cursors[name].advance(timestamp_s)
        self._batch.output.setdefault(name, bytearray()).extend(line)
        self.unwritten += len(line)

    def add_notice(self, name: str, text: str) -> None:
        """Add a line of the agent to an output."""
        line = f"[mesos-shim: {text}]\n".encode()
        self._batch.output.setdefault(name, bytearray()).extend(line)
        self.unwritten += len(line)

    def take_batch(self) -> Batch:
        """Return what is to be written, and forget it."""
        batch, self._batch = self._batch, Batch()
        batch.cursors = {
            name: (cursor.timestamp_s, cursor.lines) for name, cursor in self._cursors.items()
        }
        self.unwritten = 0
        return batch

    # --- on disk (thread) -------------------------------------------------------------------

    def open(self, directory: Path) -> None:
        """Read the state that an earlier run of the agent left in the directory."""
        self._files = {name: OutputFile(directory, name) for name in NAMES.values()}
        about = read_about(directory)
        if about is None:
            about = {}
        self.ended_s, self.mtime = about.get("ended", 0.0), about.get("mtime", 0.0)
        for name, file in self._files.items():
            size, timestamp_s, lines = about.get(name, (0, 0.0, 0))
            file.truncate(size)
            self._cursors[name] = LogCursor(timestamp_s, lines)

    def write(self, directory: Path, batch: Batch, now: float) -> None:
        """Append a batch and store its cursors. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in batch.output.items():
            self._files[name].append(bytes(data))
        self.mtime = now
        about: dict[str, Any] = {
            "framework": self.ref.key.framework_id,
            **_id_of(self.ref),
            "ended": self.ended_s,
            "mtime": now,
        }
        for name, file in self._files.items():
            about[name] = (file.size, *batch.cursors[name])
        new = directory / f"{ABOUT}.new"
        new.write_text(json.dumps(about), encoding="utf-8")
        os.replace(new, directory / ABOUT)

    def size(self, name: str) -> int:
        return self._files[name].size if self._files else 0

    def extents(self, name: str) -> list[tuple[int, int]]:
        """Return ``(offset, length)`` of the parts of an output that are on disk."""
        return self._files[name].extents if self._files else []

    @property
    def held(self) -> int:
        """Bytes on disk."""
        return sum(file.held for file in self._files.values())

    def read(self, name: str, offset: int, length: int) -> bytes:
        return self._files[name].read(offset, length) if self._files else b""


def read_about(directory: Path) -> dict[str, Any] | None:
    """Return the content of ``about.json``, or None without a usable one. Blocks on the disk."""
    try:
        about = json.loads((directory / ABOUT).read_text(encoding="utf-8"))
        return about if isinstance(about, dict) else None
    except (OSError, ValueError):
        return None


def ref_of(directory: Path, about: dict[str, Any]) -> Ref:
    """Return the container of a sandbox directory. KeyError: ``about`` has no task or executor."""
    framework_id = FrameworkId(about["framework"])
    key: TaskKey | ExecutorKey
    if "executor" in about:
        key = ExecutorKey(framework_id, ExecutorId(about["executor"]))
    else:
        key = TaskKey(framework_id, TaskId(about["task"]))
    return Ref(key, ContainerId(directory.name))


def _id_of(ref: Ref) -> dict[str, str]:
    if isinstance(ref.key, ExecutorKey):
        return {"executor": ref.key.executor_id}
    return {"task": ref.key.task_id}
