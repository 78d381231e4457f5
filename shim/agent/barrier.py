"""The one place that keeps the rule "durable before it is sent". Pure: simulations use it too.

Decisions go in one by one. A batch comes out: the records and the orders of all decisions so far.
The orders of a batch may be carried out only after its records are durable, and before the orders
of the next batch. Decisions that arrive during a commit wait for the next batch: a group commit.
"""

from __future__ import annotations

from collections.abc import Iterable

from shim.core.context import Decision
from shim.model.orders import Order, Pong


class Barrier:
    """Collects decisions into batches; truthy while a batch waits."""

    def __init__(self) -> None:
        self._next = Decision()

    def __bool__(self) -> bool:
        return bool(self._next.records or self._next.orders)

    def add(self, decision: Decision) -> Iterable[Order]:
        """Add a decision to the next batch.

        Returns the orders that need no record and may be carried out at once: answers to pings.
        """
        self._next.records.extend(decision.records)
        at_once: list[Order] = []
        for order in decision.orders:
            (at_once if isinstance(order, Pong) else self._next.orders).append(order)
        return at_once

    def take(self) -> Decision:
        """The next batch. The caller commits its records, then carries out its orders."""
        batch, self._next = self._next, Decision()
        return batch
