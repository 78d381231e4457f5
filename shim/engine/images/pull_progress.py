"""The layer states of a pull, summed up in one line for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DONE = frozenset({"Pull complete", "Already exists"})
_MB = 1_000_000


class PullProgress:
    """``3 of 5 layers, 12.3 of 45.6 MB``, from the engine's reports on each layer."""

    def __init__(self) -> None:
        self._done: set[str] = set()
        self._bytes: dict[str, tuple[int, int]] = {}

    def update(self, piece: Mapping[str, Any]) -> str:
        """Take one JSON object of the stream; the line as it is now."""
        layer, status = piece.get("id"), piece.get("status") or ""
        if not layer or status.startswith("Pulling from"):
            return str(self)
        self._bytes.setdefault(layer, (0, 0))
        detail = piece.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self._bytes[layer] = (int(detail.get("current") or 0), int(detail["total"]))
        elif status in _DONE:
            self._done.add(layer)
        if status in _DONE or status == "Download complete":
            _, total = self._bytes[layer]
            self._bytes[layer] = (total, total)
        return str(self)

    def __str__(self) -> str:
        current = sum(part for part, _ in self._bytes.values()) / _MB
        total = sum(whole for _, whole in self._bytes.values()) / _MB
        layers = f"{len(self._done)} of {len(self._bytes)} layers"
        return f"{layers}, {current:.1f} of {total:.1f} MB" if total else layers
