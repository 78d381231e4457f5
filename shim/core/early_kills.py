"""Kills that arrived before the launch they are for: a master sends the two on separate links.

The launch then ends at once with TASK_KILLED. Early kills are bounded in number and in age, and
not durable.
"""

from __future__ import annotations

from collections import OrderedDict

from shim import limits
from shim.core.context import Context
from shim.model.ids import TaskKey


class EarlyKills:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._killed_at: OrderedDict[TaskKey, float] = OrderedDict()
        """Monotonic seconds, oldest first."""

    def add(self, key: TaskKey) -> None:
        """Remember the kill of an unknown task; forget those beyond the limits."""
        now = self._ctx.now.mono
        self._killed_at[key] = now
        while (
            len(self._killed_at) > limits.EARLY_KILLS
            or next(iter(self._killed_at.values())) < now - limits.EARLY_KILL_AGE
        ):
            self._killed_at.popitem(last=False)

    def pop(self, key: TaskKey) -> bool:
        """Whether the task was killed early. The kill is forgotten."""
        return self._killed_at.pop(key, None) is not None
