"""The log level, as GET_LOGGING_LEVEL and SET_LOGGING_LEVEL count it: 1 and above is ``debug``."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger(__name__)


class LogLevel:
    """The root logger's level, which may be another for some time."""

    def __init__(self) -> None:
        self._root = logging.getLogger()
        self._original = self._root.level
        self._timer: asyncio.TimerHandle | None = None

    def get(self) -> int:
        return int(self._root.level <= logging.DEBUG)

    def set(self, level: int, seconds: float, who: str) -> None:
        """For ``seconds``; then the level of ``--log_level`` counts again."""
        log.warning("%s sets the log level to %d for %g s", who, level, seconds)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if level == int(self._original <= logging.DEBUG):
            self._root.setLevel(self._original)
            return
        self._root.setLevel(logging.DEBUG if level else logging.INFO)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, seconds), self._root.setLevel, self._original)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._root.setLevel(self._original)
