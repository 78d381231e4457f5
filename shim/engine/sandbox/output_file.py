"""One output (stdout or stderr) of one task on disk, bounded in size.

The output is stored in segments. The first segment and the newest ones are kept. Offsets count from
the start of the whole output, so an offset that a reader knows stays valid. A dropped part reads as
as many bytes of a repeated notice.
"""

from __future__ import annotations

from pathlib import Path

from shim import limits

GAP = b"[mesos-shim: output dropped here, only the first and the newest are kept]\n"


class OutputFile:
    """Segments are files named ``directory/name.OFFSET``. All methods block on the disk."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._segments = sorted(self._find_segments(), key=lambda segment: segment[0])

    def _find_segments(self) -> list[tuple[int, int]]:
        """Return ``(offset, length)`` of every segment on disk."""
        files = self._directory.glob(f"{self._name}.*")
        offsets = ((file, file.suffix[1:]) for file in files)
        return [(int(text), file.stat().st_size) for file, text in offsets if text.isdecimal()]

    @property
    def size(self) -> int:
        """Bytes of the whole output, dropped parts included."""
        return sum(self._segments[-1]) if self._segments else 0

    @property
    def held(self) -> int:
        """Bytes on disk."""
        return sum(length for _, length in self._segments)

    @property
    def extents(self) -> list[tuple[int, int]]:
        """``(offset, length)`` of each part on disk."""
        return list(self._segments)

    def append(self, data: bytes) -> None:
        """Add to the end. Drop the oldest segments but the first when there are too many bytes."""
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
        """Drop everything after the first ``size`` bytes."""
        while self._segments and self._segments[-1][0] >= size:
            offset, _ = self._segments.pop()
            self._path(offset).unlink(missing_ok=True)
        if self._segments and self.size > size:
            offset, _ = self._segments[-1]
            with self._path(offset).open("r+b") as file:
                file.truncate(size - offset)
            self._segments[-1] = (offset, size - offset)

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset`` on, fewer at the end of the output."""
        end = min(offset + length, self.size)
        parts: list[bytes] = []
        for start, held in self._segments:
            if offset < start and offset < end:
                parts.append(_gap(offset, min(start, end)))
                offset = min(start, end)
            stop = min(start + held, end)
            if start <= offset < stop:
                parts.append(self._read_segment(start, offset - start, stop - offset))
                offset = stop
        return b"".join(parts)

    def _write(self, segment: int, skip: int, data: bytes) -> None:
        """Write at an explicit position: a partial write on a full disk shifts nothing."""
        path = self._path(segment)
        with path.open("r+b" if skip else "wb") as file:
            file.seek(skip)
            file.write(data)

    def _read_segment(self, segment: int, skip: int, length: int) -> bytes:
        with self._path(segment).open("rb") as file:
            file.seek(skip)
            return file.read(length).ljust(length, b"\0")

    def _path(self, offset: int) -> Path:
        return self._directory / f"{self._name}.{offset}"


def _gap(start: int, end: int) -> bytes:
    """Return the notice that stands for the dropped bytes from ``start`` to ``end``."""
    skip = start % len(GAP)
    count = (skip + end - start) // len(GAP) + 1
    return (GAP * count)[skip : skip + end - start]
