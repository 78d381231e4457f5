"""RecordIO: a stream of records, each after its length in bytes as decimal text and a line break.

A record is JSON text or a serialized protobuf message. Sans-IO: bytes in, records out, wherever the
stream is cut.
"""

from __future__ import annotations

from collections.abc import Iterator

_DIGITS_MAX = 20
"""As many as the largest 64-bit number has."""


class MalformedRecord(ValueError):
    """The stream is not RecordIO, or a record is too long. Nothing after it can be read."""


def encode(record: bytes) -> bytes:
    """The record with its length before it."""
    return b"%d\n%b" % (len(record), record)


class RecordDecoder:
    """Splits a stream into records of at most ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._length: int | None = None
        """Of the record whose length has been read."""

    @property
    def is_between_records(self) -> bool:
        """Whether the stream may end here."""
        return self._length is None and not self._buffer

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Every record that is complete with ``data``. Raises MalformedRecord."""
        self._buffer += data
        while True:
            if self._length is None:
                self._length = self._take_length()
            if self._length is None or len(self._buffer) < self._length:
                return
            record = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
            self._length = None
            yield record

    def _take_length(self) -> int | None:
        end = self._buffer.find(b"\n", 0, _DIGITS_MAX + 1)
        if end < 0 and len(self._buffer) <= _DIGITS_MAX:
            return None
        text = bytes(self._buffer[: end if end >= 0 else _DIGITS_MAX])
        if not text.isdigit():
            raise MalformedRecord(f"Failed to decode length {text.decode('ascii', 'replace')!r}")
        length = int(text)
        if length > self._limit:
            raise MalformedRecord(f"A record of {length} bytes is longer than {self._limit}")
        del self._buffer[: end + 1]
        return length
