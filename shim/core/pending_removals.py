"""Containers of ended tasks that the endpoint may still have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shim.core.context import Context
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.orders import Remove
from shim.model.records import SaveMeta

_RECORD = "doomed/"


class PendingRemovals(Mapping[ContainerId, Ref]):
    """Durable: what is here is removed, by a later life if need be, until it is certainly gone."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._refs: dict[ContainerId, Ref] = {}

    def __getitem__(self, container_id: ContainerId) -> Ref:
        return self._refs[container_id]

    def __iter__(self) -> Iterator[ContainerId]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def add(self, ref: Ref) -> None:
        """Have it removed, after the time that the settings leave to look at it."""
        self._refs[ref.container_id] = ref
        value = f"{ref.key.framework_id}\n{ref.key.task_id}".encode()
        self._ctx.record(SaveMeta(_RECORD + ref.container_id, value))
        self._ctx.order(Remove(ref, self._ctx.settings.remove_delay))

    def removed(self, ref: Ref) -> None:
        """The endpoint no longer has it."""
        if self._refs.pop(ref.container_id, None) is not None:
            self._ctx.record(SaveMeta(_RECORD + ref.container_id, None))

    def restore(self, meta: Mapping[str, bytes]) -> None:
        for name, value in meta.items():
            if name.startswith(_RECORD):
                framework_id, _, task_id = value.decode().partition("\n")
                container_id = ContainerId(name.removeprefix(_RECORD))
                key = TaskKey(FrameworkId(framework_id), TaskId(task_id))
                self._refs[container_id] = Ref(key, container_id)
