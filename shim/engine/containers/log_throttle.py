"""A trouble that thousands have at once is one line in the log, not thousands."""

from __future__ import annotations

from collections.abc import Callable

from shim import limits


class LogThrottle:
    """About one kind of trouble."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said_at = -limits.COMPLAINT_INTERVAL

    def due(self) -> bool:
        """Whether it is to be said now. If so, it is not for a while."""
        now = self._clock()
        if now - self._said_at < limits.COMPLAINT_INTERVAL:
            return False
        self._said_at = now
        return True
