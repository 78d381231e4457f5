"""SSH's wire form: strings and numbers one after another, each with its length in front."""

from __future__ import annotations

import struct


class Reader:
    """Takes a message apart, front to back. ValueError when it is cut short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def text(self) -> bytes:
        return self._take(self.number())

    def name(self) -> str:
        """A text for people and comparisons."""
        return self.text().decode(errors="replace")

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ValueError("cut short")
        taken, self._at = self._data[self._at : end], end
        return taken


def text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
