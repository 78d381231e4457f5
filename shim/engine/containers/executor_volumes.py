"""The named volumes of executors: made with the first container that mounts them, removed here.

The mapping names them (``engine.mapping.shared_volumes``) and gives them the container id of their
executor as a label. They end with the executor: after its last container, by the same order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from shim.engine.api import ContainerSpec, Engine
from shim.errors import ShimError
from shim.model.container import LABEL_CONTAINER, Ref
from shim.model.ids import ContainerId

log = logging.getLogger(__name__)


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
            names = await self._list(lambda owner: owner == executor.container_id)
        for name in sorted(names):
            await self._engine.remove_volume(name)
        self._known.pop(executor.container_id, None)

    async def sweep(self, is_known: Callable[[ContainerId], bool]) -> None:
        """Remove volumes whose executor is not known: their journal is lost. Raises nothing."""
        try:
            for name in await self._list(lambda owner: not is_known(owner)):
                log.warning("removing volume %s, which belongs to no executor", name)
                await self._engine.remove_volume(name)
        except ShimError as error:
            log.warning("volumes of unknown executors are left for now: %s", error)

    async def _list(self, wanted: Callable[[ContainerId], bool]) -> Collection[str]:
        return [
            volume.name
            for volume in await self._engine.list_volumes()
            if (owner := volume.labels.get(LABEL_CONTAINER)) and wanted(ContainerId(owner))
        ]


def _named(spec: ContainerSpec) -> set[str]:
    """The volumes of the executor that the container mounts."""
    mounts = spec.body.get("HostConfig", {}).get("Mounts") or []
    return {
        mount["Source"]
        for mount in mounts
        if LABEL_CONTAINER in (mount.get("VolumeOptions", {}).get("Labels") or {})
    }
