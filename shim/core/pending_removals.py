"""Containers of ended tasks and executors that the endpoint may still have.

Durable: each is removed, after a restart if need be, until the endpoint certainly has it no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shim.core.context import Context
from shim.model.container import Ref
from shim.model.ids import ContainerId
from shim.model.orders import Remove
from shim.model.records import AddPendingRemoval, DropPendingRemoval


class PendingRemovals(Mapping[ContainerId, Ref]):
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._refs: dict[ContainerId, Ref] = {}

    def __getitem__(self, container_id: ContainerId) -> Ref:
        return self._refs[container_id]

    def __iter__(self) -> Iterator[ContainerId]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def add(self, ref: Ref, delay: float | None = None) -> None:
        """Order the removal, after ``delay`` seconds; None: ``CoreSettings.remove_delay``."""
        self._refs[ref.container_id] = ref
        self._ctx.record(AddPendingRemoval(ref))
        self._ctx.order(Remove(ref, self._ctx.settings.remove_delay if delay is None else delay))

    def removed(self, ref: Ref) -> None:
        """The endpoint no longer has the container."""
        if self._refs.pop(ref.container_id, None) is not None:
            self._ctx.record(DropPendingRemoval(ref.container_id))

    def restore(self, refs: Mapping[ContainerId, Ref]) -> None:
        self._refs.update(refs)
