"""Deadlines by key. Pure: the clock is an argument."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from itertools import count


class Timers:
    """At most one deadline a key; setting it again replaces it."""

    def __init__(self) -> None:
        self._at: dict[Hashable, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._serial = count()

    def set(self, key: Hashable, at: float) -> None:
        entry = (at, next(self._serial))
        self._at[key] = entry
        heapq.heappush(self._heap, (*entry, key))
        if len(self._heap) > 64 + 4 * len(self._at):
            self._heap = [(*entry, key) for key, entry in self._at.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: Hashable) -> None:
        self._at.pop(key, None)

    def pending(self) -> list[Hashable]:
        """What has a deadline."""
        return list(self._at)

    def next(self) -> float | None:
        """The earliest deadline, or None."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[Hashable]:
        """Keys whose deadline is not after ``now``, earliest first; each is forgotten."""
        due = []
        while (at := self.next()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._at[key]
            due.append(key)
        return due

    def _drop_stale(self) -> None:
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
