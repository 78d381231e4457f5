"""Docker's framing of output, sans-IO: bytes in, ``(stream, timestamp, line)`` out.

With ``timestamps=1`` each line begins with its time and a blank. Without a terminal, pieces come
in frames: stream (1 stdout, 2 stderr), three zero bytes, length in four bytes; with a terminal
there are no frames, everything is stdout. The first bytes distinguish the two: a time begins with
a digit, a frame with a stream number and zeros.
"""

from __future__ import annotations

import struct
from calendar import timegm
from collections.abc import Iterator
from functools import lru_cache
from time import strptime

from shim import limits
from shim.errors import PeerError

HEADER = struct.Struct(">BxxxL")
STDOUT, STDERR = 1, 2

Line = tuple[int, float, bytes]


class Frames:
    """Splits framed output into payloads, wherever the input is cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """``(stream, payload)`` of every complete frame. PeerError for anything else."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            stream, length = HEADER.unpack_from(self._buffer)
            if stream > STDERR or self._buffer[1:4] != b"\0\0\0" or length > limits.LOG_LINE_BYTES:
                raise PeerError(f"not an output frame: {bytes(self._buffer[: HEADER.size])!r}")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield stream, payload


class TerminalLines:
    """Splits the output of a terminal into lines, all on stdout."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self._buffer += data
        while True:
            end = self._buffer.find(b"\n") + 1
            if not end:
                if len(self._buffer) < limits.LOG_LINE_BYTES:
                    return
                end = len(self._buffer)
            line = bytes(self._buffer[:end])
            del self._buffer[:end]
            yield STDOUT, line


class LogLines:
    """Splits the answer of ``GET /containers/{name}/logs?timestamps=1``. Lines keep newlines."""

    def __init__(self) -> None:
        self._splitter: Frames | TerminalLines | None = None

    def feed(self, data: bytes) -> Iterator[Line]:
        if not data:
            return
        if self._splitter is None:
            self._splitter = Frames() if data[0] <= STDERR else TerminalLines()
        for stream, payload in self._splitter.feed(data):
            stamp, _, line = payload.partition(b" ")
            yield stream, seconds(stamp), line


def seconds(stamp: bytes) -> float:
    """``2026-11-20T08:13:17.123456789Z`` -> seconds since the epoch; 0.0 for anything else."""
    try:
        whole, _, fraction = stamp.rstrip(b"Z").partition(b".")
        return _whole_seconds(whole) + float(b"0." + (fraction or b"0"))
    except ValueError:
        return 0.0


@lru_cache(maxsize=64)
def _whole_seconds(text: bytes) -> int:
    """Cached, because thousands of lines share a second and strptime is the slowest part."""
    return timegm(strptime(text.decode("ascii"), "%Y-%m-%dT%H:%M:%S"))
