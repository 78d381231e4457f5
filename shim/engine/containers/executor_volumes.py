"""The named volumes of executors: made with the first container that mounts them, removed here.

The mapping names them (``engine.mapping.shared_volumes``) and gives them the container id of their
executor as a label. They end with the executor: after its last container, by the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Sequence

from shim.engine.api import ContainerSpec, Engine
from shim.model.container import LABEL_CONTAINER, Ref
from shim.model.ids import ContainerId


class ExecutorVolumes:
    """Knows the volumes of executors that began in this process; asks for those of others."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[ContainerId, frozenset[str]] = {}
        """Names by executor, of executors whose every launch was ordered in this process."""

    def begin(self, executor: Ref) -> None:
        """The executor's own container is launched: it has no volumes yet."""
        self._known.setdefault(executor.container_id, frozenset())

    def doubt(self, executor: Ref) -> None:
        """An earlier process may have launched the executor, and its tasks with volumes."""
        self._known.pop(executor.container_id, None)

    def add(self, executor: Ref, spec: ContainerSpec) -> None:
        """A container of a task of the executor is about to be created."""
        known = self._known.get(executor.container_id)
        if known is not None and not known >= (names := _named(spec)):
            self._known[executor.container_id] = known | names

    async def remove(self, executor: Ref) -> None:
        """Remove them all. Transient while a container has one."""
        names: Collection[str] | None = self._known.get(executor.container_id)
        if names is None:
            listed = await self._list()
            names = [name for name, owner in listed if owner == executor.container_id]
        for name in sorted(names):
            await self._engine.remove_volume(name)
        self._known.pop(executor.container_id, None)

    async def find_unknown(self, known: Callable[[], Container[ContainerId]]) -> Sequence[str]:
        """Return the volumes of executors that the agent does not know: their journal is lost.

        ``known`` is asked after the list: an executor that comes later has no volume in it.
        """
        volumes = await self._list()
        executors = known()
        return [name for name, owner in volumes if owner not in executors]

    async def _list(self) -> Sequence[tuple[str, ContainerId]]:
        """The volumes of executors, each with the container id of its executor."""
        volumes = await self._engine.list_volumes()
        owners = ((each.name, each.labels.get(LABEL_CONTAINER)) for each in volumes)
        return [(name, ContainerId(owner)) for name, owner in owners if owner]


def _named(spec: ContainerSpec) -> set[str]:
    """The volumes of the executor that the container mounts."""
    mounts = spec.body.get("HostConfig", {}).get("Mounts") or []
    return {
        mount["Source"]
        for mount in mounts
        if LABEL_CONTAINER in (mount.get("VolumeOptions", {}).get("Labels") or {})
    }
