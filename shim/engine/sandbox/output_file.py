"""One output of one task on disk: a file that only grows, of which only so much is kept.

Offsets are those of the whole output, so that what a reader knows of it stays true. Kept are the
first segment (how it began) and the newest ones (how it goes on); what was between them reads as
lines that say so, as many bytes as there were: clients that count what they read stay right.
"""

from __future__ import annotations

from pathlib import Path

from shim import limits

GAP = b"[mesos-shim: output dropped here, only the first and the newest are kept]\n"


class OutputFile:
    """``directory/name.OFFSET`` are its segments. All methods use the disk: not for the loop."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._segments = sorted(self._found(), key=lambda segment: segment[0])

    def _found(self) -> list[tuple[int, int]]:
        """``(offset, length)`` of every segment there is."""
        files = self._directory.glob(f"{self._name}.*")
        offsets = ((file, file.suffix[1:]) for file in files)
        return [(int(text), file.stat().st_size) for file, text in offsets if text.isdecimal()]

    @property
    def size(self) -> int:
        """Of the whole output."""
        return sum(self._segments[-1]) if self._segments else 0

    @property
    def held(self) -> int:
        """Bytes on disk."""
        return sum(length for _, length in self._segments)

    @property
    def extents(self) -> list[tuple[int, int]]:
        """``(offset, length)`` of what is kept."""
        return list(self._segments)

    def append(self, data: bytes) -> None:
        while data:
            if not self._segments or self._segments[-1][1] >= limits.SANDBOX_SEGMENT_BYTES:
                self._segments.append((self.size, 0))
            offset, length = self._segments[-1]
            part = data[: limits.SANDBOX_SEGMENT_BYTES - length]
            self._write(offset, length, part)
            self._segments[-1] = (offset, length + len(part))
            data = data[len(part) :]
        while self.held > limits.SANDBOX_STREAM_BYTES:
            offset, _ = self._segments.pop(1)
            self._path(offset).unlink(missing_ok=True)

    def truncate(self, size: int) -> None:
        """Forget what came after the first ``size`` bytes."""
        while self._segments and self._segments[-1][0] >= size:
            offset, _ = self._segments.pop()
            self._path(offset).unlink(missing_ok=True)
        if self._segments and self.size > size:
            offset, _ = self._segments[-1]
            with self._path(offset).open("r+b") as file:
                file.truncate(size - offset)
            self._segments[-1] = (offset, size - offset)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly the bytes from ``offset`` on, as far as there are any."""
        end = min(offset + length, self.size)
        parts: list[bytes] = []
        for start, held in self._segments:
            if offset < start and offset < end:
                parts.append(_gap(offset, min(start, end)))
                offset = min(start, end)
            stop = min(start + held, end)
            if start <= offset < stop:
                parts.append(self._part(start, offset - start, stop - offset))
                offset = stop
        return b"".join(parts)

    def _write(self, segment: int, skip: int, data: bytes) -> None:
        """At its place, so that half a write on a full disk moves nothing."""
        path = self._path(segment)
        with path.open("r+b" if skip else "wb") as file:
            file.seek(skip)
            file.write(data)

    def _part(self, segment: int, skip: int, length: int) -> bytes:
        with self._path(segment).open("rb") as file:
            file.seek(skip)
            return file.read(length).ljust(length, b"\0")

    def _path(self, offset: int) -> Path:
        return self._directory / f"{self._name}.{offset}"


def _gap(start: int, end: int) -> bytes:
    """What the output from ``start`` to ``end`` is shown as."""
    skip = start % len(GAP)
    count = (skip + end - start) // len(GAP) + 1
    return (GAP * count)[skip : skip + end - start]
