"""Deadlines by key. Pure: the clock is an argument."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_STALE_ENTRIES = 64
"""Replaced and cancelled heap entries tolerated beyond the number of deadlines."""


class TimerQueue(Generic[K]):
    """At most one deadline per key; setting a key again replaces its deadline.

    Times are seconds of any one clock. A replaced or cancelled deadline stays in the heap until it
    reaches the top, or until such entries outnumber the live ones.
    """

    def __init__(self) -> None:
        self._deadlines: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._serial = count()

    def __len__(self) -> int:
        return len(self._deadlines)

    def __iter__(self) -> Iterator[K]:
        """The keys that have a deadline, in no particular order."""
        return iter(self._deadlines)

    def set(self, key: K, at: float) -> None:
        entry = (at, next(self._serial))
        self._deadlines[key] = entry
        heapq.heappush(self._heap, (*entry, key))
        self._compact()

    def cancel(self, key: K) -> None:
        """Without effect when the key has no deadline."""
        self._deadlines.pop(key, None)
        self._compact()

    def next_due(self) -> float | None:
        """The earliest deadline; None when there is none."""
        while self._heap and self._is_stale(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[K]:
        """Remove and return the keys due by ``now``: earliest first, ties in the order of set."""
        due = []
        while (at := self.next_due()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._deadlines[key]
            due.append(key)
        return due

    def _is_stale(self, entry: tuple[float, int, K]) -> bool:
        return self._deadlines.get(entry[2]) != entry[:2]

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._deadlines) + _STALE_ENTRIES:
            self._heap = [(*entry, key) for key, entry in self._deadlines.items()]
            heapq.heapify(self._heap)
