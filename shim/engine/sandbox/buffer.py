"""The output of one container on disk, and how far its log was taken.

A log is taken in several goes: each begins a little before the end of the one before, and what was
taken already is recognised by its timestamp. How far that is stands beside the output; what a crash
left beyond it is forgotten and taken again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shim import limits
from shim.engine.sandbox.output_file import OutputFile
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.sandbox import STDERR, STDOUT

ABOUT = "about.json"
NAMES = {1: STDOUT, 2: STDERR}


@dataclass(slots=True)
class Mark:
    """How far one stream was taken: its last timestamp, and how many lines bore it."""

    stamp: float = 0.0
    count: int = 0

    def passed(self, stamp: float) -> None:
        if stamp == self.stamp:
            self.count += 1
        else:
            self.stamp, self.count = stamp, 1


@dataclass(slots=True)
class _Resumption:
    """Where a go stands among the lines of one stream that an earlier one took."""

    stamp: float
    left: int

    def takes(self, stamp: float) -> bool:
        if not self.stamp or stamp > self.stamp:
            # In order from here on: a clock set back must not hide what follows.
            self.stamp = 0.0
            return True
        if stamp == self.stamp and self.left == 0:
            return True
        self.left -= stamp == self.stamp
        return False


@dataclass(slots=True)
class Batch:
    """What is to be written: output, and how far the log was taken with it."""

    output: dict[str, bytearray] = field(default_factory=dict)
    marks: dict[str, tuple[float, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.output)


class OutputBuffer:
    """``take`` and ``swap`` belong to the loop; what is said to use the disk, to a thread."""

    def __init__(self, ref: Ref) -> None:
        self.ref = ref
        self.ended = 0.0
        """When the task's container was done with; 0 before."""
        self.mtime = 0.0
        self._streams: dict[str, OutputFile] = {}
        self._marks = {name: Mark() for name in NAMES.values()}
        self._going: dict[str, _Resumption] = {}
        self._batch = Batch()
        self.waiting = 0
        """Bytes not yet written."""

    # --- taking a log (loop) ----------------------------------------------------------------

    def resume(self) -> float:
        """Begin another go: since when to ask for the log."""
        self._going = {n: _Resumption(m.stamp, m.count) for n, m in self._marks.items()}
        latest = max(mark.stamp for mark in self._marks.values())
        return max(0.0, latest - limits.LOG_OVERLAP)

    def take(self, stream: int, stamp: float, line: bytes) -> None:
        name = NAMES.get(stream, STDOUT)
        if not self._going[name].takes(stamp):
            return
        self._marks[name].passed(stamp)
        self._batch.output.setdefault(name, bytearray()).extend(line)
        self.waiting += len(line)

    def say(self, name: str, text: str) -> None:
        """A line of ours among the task's."""
        line = f"[mesos-shim: {text}]\n".encode()
        self._batch.output.setdefault(name, bytearray()).extend(line)
        self.waiting += len(line)

    def swap(self) -> Batch:
        batch, self._batch = self._batch, Batch()
        batch.marks = {name: (mark.stamp, mark.count) for name, mark in self._marks.items()}
        self.waiting = 0
        return batch

    # --- on disk (thread) -------------------------------------------------------------------

    def open(self, directory: Path) -> None:
        """Take up what is there. Uses the disk."""
        self._streams = {name: OutputFile(directory, name) for name in NAMES.values()}
        about = read_about(directory)
        if about is None:
            about = {}
        self.ended, self.mtime = about.get("ended", 0.0), about.get("mtime", 0.0)
        for name, stream in self._streams.items():
            size, stamp, count = about.get(name, (0, 0.0, 0))
            stream.truncate(size)
            self._marks[name] = Mark(stamp, count)

    def write(self, directory: Path, batch: Batch, now: float) -> None:
        """Uses the disk. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in batch.output.items():
            self._streams[name].append(bytes(data))
        self.mtime = now
        about: dict[str, Any] = {
            "framework": self.ref.key.framework_id,
            "task": self.ref.key.task_id,
            "ended": self.ended,
            "mtime": now,
        }
        for name, stream in self._streams.items():
            about[name] = (stream.size, *batch.marks[name])
        new = directory / f"{ABOUT}.new"
        new.write_text(json.dumps(about), encoding="utf-8")
        os.replace(new, directory / ABOUT)

    def size(self, name: str) -> int:
        return self._streams[name].size if self._streams else 0

    def extents(self, name: str) -> list[tuple[int, int]]:
        """``(offset, length)`` of what is kept."""
        return self._streams[name].extents if self._streams else []

    @property
    def held(self) -> int:
        """Bytes on disk."""
        return sum(stream.held for stream in self._streams.values())

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Uses the disk."""
        return self._streams[name].read(offset, length) if self._streams else b""


def read_about(directory: Path) -> dict[str, Any] | None:
    """None when there is nothing, or nothing of use. Uses the disk."""
    try:
        about = json.loads((directory / ABOUT).read_text(encoding="utf-8"))
        return about if isinstance(about, dict) else None
    except (OSError, ValueError):
        return None


def ref_of(directory: Path, about: dict[str, Any]) -> Ref:
    """Whose sandbox it is. KeyError when it does not say."""
    key = TaskKey(FrameworkId(about["framework"]), TaskId(about["task"]))
    return Ref(key, ContainerId(directory.name))
