"""The newest part of the agent's own log in memory, for ``/slave/log``."""

from __future__ import annotations

import logging

from shim import limits


class LogRing(logging.Handler):
    """Offsets count from the beginning of the whole log. A dropped part reads as blank lines."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = bytearray()
        self._dropped = 0

    def attach(self) -> None:
        """Take all further records of the root logger, formatted as its first handler does."""
        root = logging.getLogger()
        if root.handlers:
            self.setFormatter(root.handlers[0].formatter)
        root.addHandler(self)

    def detach(self) -> None:
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._kept += self.format(record).encode(errors="replace") + b"\n"
        # Half is dropped at a time: each drop moves all bytes that stay.
        if len(self._kept) > 2 * limits.AGENT_LOG_BYTES:
            dropped = len(self._kept) - limits.AGENT_LOG_BYTES
            del self._kept[:dropped]
            self._dropped += dropped

    @property
    def size(self) -> int:
        """Bytes of the whole log, the dropped part included."""
        return self._dropped + len(self._kept)

    def read(self, offset: int, length: int) -> bytes:
        blank = max(0, min(self._dropped - offset, length))
        start = max(0, offset - self._dropped)
        return b"\n" * blank + bytes(self._kept[start : start + length - blank])

    @property
    def kept(self) -> bytes:
        return bytes(self._kept)
