"""The one place where "durable before it is sent" is kept. Pure, so that simulations use it too.

Decisions go in as the core makes them. A batch comes out: the records of all of them, and their
orders. The orders of a batch may be carried out only after its records are durable, and before
those of the next batch. Decisions that arrive while a batch is being written collect for the
next one: that is the group commit.
"""

from __future__ import annotations

from collections.abc import Iterable

from shim.core.context import Decision
from shim.model.orders import Order, Pong


class Barrier:
    def __init__(self) -> None:
        self._next = Decision()

    def __bool__(self) -> bool:
        return bool(self._next.records or self._next.orders)

    def add(self, decision: Decision) -> Iterable[Order]:
        """Take a decision in; what is returned may be carried out at once (pings' answers)."""
        self._next.records.extend(decision.records)
        at_once: list[Order] = []
        for order in decision.orders:
            (at_once if isinstance(order, Pong) else self._next.orders).append(order)
        return at_once

    def take(self) -> Decision:
        """The next batch; the caller commits its records, then carries its orders out."""
        batch, self._next = self._next, Decision()
        return batch
