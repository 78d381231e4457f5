"""Limits over time: work in small portions, and log lines at most once an interval."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shim import limits


class Pacer:
    """Calls ``step`` until it has nothing to do, at least ``interval`` seconds apart.

    Each step begins work that continues in the event loop. The interval leaves the loop to other
    callbacks, such as a ping; a busy loop makes it longer.
    """

    def __init__(self, step: Callable[[], bool], interval: float) -> None:
        """``step`` does a small portion, and returns whether there was anything to do."""
        self._step = step
        self._interval = interval
        self._next: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """There is work: call ``step`` now, or as soon as the interval since the last is over."""
        if self._next is None:
            self._do()

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _do(self) -> None:
        worked = self._step()
        loop = asyncio.get_running_loop()
        self._next = loop.call_later(self._interval, self._do) if worked else None


class LogThrottle:
    """Limits the log lines about a problem that thousands of containers may have at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged_at = -limits.LOG_THROTTLE_INTERVAL

    def should_log(self) -> bool:
        """Whether to log it now. After a True, False until the interval is over."""
        now = self._clock()
        if now - self._logged_at < limits.LOG_THROTTLE_INTERVAL:
            return False
        self._logged_at = now
        return True
