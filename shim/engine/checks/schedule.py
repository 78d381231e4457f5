"""When each of many things is due: one heap for all."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

SLACK = 64
"""Entries given up may be so many beyond the living ones before they are swept."""


class Schedule(Generic[T]):
    """Each thing is due at one time at most."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._valid: dict[T, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._valid)

    def put(self, thing: T, due: float) -> None:
        """It is due then; an earlier word about it no longer counts."""
        self._count += 1
        self._valid[thing] = self._count
        heapq.heappush(self._heap, (due, self._count, thing))
        self._sweep()

    def discard(self, thing: T) -> None:
        self._valid.pop(thing, None)
        self._sweep()

    def next_due(self) -> float | None:
        """When the next thing is due; None: nothing will be."""
        while self._heap and self._stale(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> Iterator[T]:
        """What is due by now, the longest overdue first; it is due no more."""
        while (due := self.next_due()) is not None and due <= now:
            thing = heapq.heappop(self._heap)[2]
            del self._valid[thing]
            yield thing

    def _stale(self, entry: tuple[float, int, T]) -> bool:
        return self._valid.get(entry[2]) != entry[1]

    def _sweep(self) -> None:
        if len(self._heap) > 2 * len(self._valid) + SLACK:
            self._heap = [entry for entry in self._heap if not self._stale(entry)]
            heapq.heapify(self._heap)
