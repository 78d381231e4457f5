"""Simulated time, and the exceptions that end a run or a process."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Violation(Exception):
    """An invariant does not hold: the seed found a bug."""


class Crash(Exception):
    """The shim's process is killed at this step, as by kill -9."""


class Clock:
    """A queue of calls by time. Calls of equal time run in the order of scheduling."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events = 0
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._serial = 0

    def after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (self.now + delay, self._serial, call, args))

    def run_next(self) -> bool:
        """Run the next call. False: the queue is empty."""
        if not self._queue:
            return False
        self.now, _, call, args = heapq.heappop(self._queue)
        self.events += 1
        call(*args)
        return True
