"""Kills that overtook their launch (they came by another connection): it then ends at once."""

from __future__ import annotations

from collections import OrderedDict

from shim import limits
from shim.core.context import Context
from shim.model.ids import TaskKey


class EarlyKills:
    """Bounded in number and in age; not durable."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._stones: OrderedDict[TaskKey, float] = OrderedDict()

    def put(self, key: TaskKey) -> None:
        now = self._ctx.now.mono
        self._stones[key] = now
        while len(self._stones) > limits.TOMBSTONES or self._oldest() < now - limits.TOMBSTONE_AGE:
            self._stones.popitem(last=False)

    def _oldest(self) -> float:
        return next(iter(self._stones.values()))

    def lift(self, key: TaskKey) -> bool:
        """Whether the task was killed already; that is known once only."""
        return self._stones.pop(key, None) is not None
