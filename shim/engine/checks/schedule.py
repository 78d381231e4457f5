"""When each of many items is due: one heap for all."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

SLACK = 64
"""The heap is rebuilt when it holds twice the valid entries and this many more."""


class Schedule(Generic[T]):
    """Items with one due time each. An item is hashable."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._valid: dict[T, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._valid)

    def set(self, item: T, due: float) -> None:
        """Set the time at which an item is due, in place of an earlier one."""
        self._count += 1
        self._valid[item] = self._count
        heapq.heappush(self._heap, (due, self._count, item))
        self._drop_stale()

    def discard(self, item: T) -> None:
        self._valid.pop(item, None)
        self._drop_stale()

    def next_due(self) -> float | None:
        """Return when the next item is due, or None."""
        while self._heap and self._is_stale(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Iterator[T]:
        """Remove and yield the items that are due at ``now``, the longest overdue first."""
        while (due := self.next_due()) is not None and due <= now:
            item = heapq.heappop(self._heap)[2]
            del self._valid[item]
            yield item

    def _is_stale(self, entry: tuple[float, int, T]) -> bool:
        return self._valid.get(entry[2]) != entry[1]

    def _drop_stale(self) -> None:
        if len(self._heap) > 2 * len(self._valid) + SLACK:
            self._heap = [entry for entry in self._heap if not self._is_stale(entry)]
            heapq.heapify(self._heap)
