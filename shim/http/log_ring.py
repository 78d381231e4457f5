"""The newest part of the agent's own log in memory, for ``/slave/log``."""

from __future__ import annotations

import logging

from shim import limits


class LogRing(logging.Handler):
    """Offsets are those of the whole log; what is no longer held reads as blank lines."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()
        self._base = 0

    def attach(self) -> None:
        """Take from now on what the root logger's first handler takes, in its words."""
        root = logging.getLogger()
        if root.handlers:
            self.setFormatter(root.handlers[0].formatter)
        root.addHandler(self)

    def detach(self) -> None:
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._held += self.format(record).encode(errors="replace") + b"\n"
        # Cut rarely: each cut moves all that is held.
        if len(self._held) > 2 * limits.AGENT_LOG_BYTES:
            dropped = len(self._held) - limits.AGENT_LOG_BYTES
            del self._held[:dropped]
            self._base += dropped

    @property
    def size(self) -> int:
        """Of the whole log."""
        return self._base + len(self._held)

    def read(self, offset: int, length: int) -> bytes:
        gone = max(0, min(self._base - offset, length))
        start = max(0, offset - self._base)
        return b"\n" * gone + bytes(self._held[start : start + length - gone])

    @property
    def held(self) -> bytes:
        return bytes(self._held)
