"""Persistent volumes: which there are, what each is called at the endpoint, and their removal.

A volume is made at the endpoint by the first launch that mounts it. :mod:`shim.core.volume_table`
says what ends it. The name derives from the owner, the role and the persistence id. A volume that
is created again while the earlier one is still being removed gets another generation, and with it
another name: a late removal cannot reach it, and it is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from shim.core.context import Context
from shim.core.volume_table import VolumeAction, VolumeEvent, VolumePhase, step
from shim.model.ids import ContainerId
from shim.model.orders import Level, RemoveVolume
from shim.model.records import DropVolume, SaveVolume
from shim.model.resource_sets import InvalidResource
from shim.model.resources import role_of
from shim.model.volume import Volume, VolumeMount, is_persistent, persistent_volume_name
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import ExecutorInfo, Resource, TaskInfo
from shim.protos.mesos_pb2 import Volume as MountedVolume

_NAMED_AT_ONCE = 20
"""Unknown volumes named one by one in the log. After a lost work_dir there may be thousands."""


class VolumeKey(NamedTuple):
    """A persistence id is unique within its role on one agent."""

    role: str
    persistence_id: str


@dataclass(slots=True)
class _Kept:
    """A volume that the endpoint has or may have."""

    key: VolumeKey
    generation: int
    phase: VolumePhase = VolumePhase.KEPT
    containers: set[ContainerId] = field(default_factory=set)
    """Those that may mount it: ordered, and not known to be removed."""


class PersistentVolumes:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._volumes: dict[str, _Kept] = {}
        """By name at the endpoint."""
        self._names: dict[VolumeKey, str] = {}
        """Names of the volumes that the master has."""

    @property
    def names(self) -> Mapping[str, bool]:
        """Names at the endpoint, each with whether the master has the volume."""
        return {name: kept.phase is VolumePhase.KEPT for name, kept in self._volumes.items()}

    # --- what the master has --------------------------------------------------------------

    def update(self, resources: Iterable[Resource]) -> None:
        """The master has the volumes among ``resources`` and no others."""
        wanted = {key_of(each): None for each in resources if each.disk.HasField("persistence")}
        for key in [key for key in self._names if key not in wanted]:
            self._apply(self._names.pop(key), VolumeEvent.DESTROY)
        for key in wanted:
            if key not in self._names:
                self._add(key)

    def check_new(self, created: Iterable[Resource], consumed: Iterable[Resource]) -> None:
        """Raise InvalidResource if a volume is to be created that there is already."""
        before = {key_of(each) for each in consumed}
        for each in created:
            key = key_of(each)
            if each.disk.HasField("persistence") and key in self._names and key not in before:
                raise InvalidResource(f"volume {key.persistence_id!r} of {key.role!r} exists")

    def _add(self, key: VolumeKey) -> None:
        generation = 0
        while (name := self._name(key, generation)) in self._volumes:
            generation += 1
        self._names[key] = name
        self._volumes[name] = _Kept(key, generation)
        self._save(name)

    def _name(self, key: VolumeKey, generation: int) -> str:
        return persistent_volume_name(self._ctx.settings.shim_id, *key, generation)

    # --- containers -----------------------------------------------------------------------

    def mounts(
        self, resources: Iterable[Resource], container_id: ContainerId | None = None
    ) -> tuple[VolumeMount, ...]:
        """The persistent volumes among the resources of a task or an executor.

        ``container_id`` is its container, None if there is none yet.
        """
        return tuple(
            self._mount(each, container_id)
            for each in resources
            if each.disk.HasField("persistence")
        )

    def _mount(self, resource: Resource, container_id: ContainerId | None) -> VolumeMount:
        key = key_of(resource)
        name = self._names.get(key) or self._name(key, 0)
        containers = self._volumes[name].containers if name in self._volumes else set()
        return VolumeMount(
            name=name,
            role=key.role,
            persistence_id=key.persistence_id,
            size_mb=resource.scalar.value,
            container_path=resource.disk.volume.container_path,
            read_only=resource.disk.volume.mode == MountedVolume.RO,
            in_use=bool(containers - {container_id}),
        )

    def hold(self, container_id: ContainerId, resources: Iterable[Resource]) -> None:
        """From now on the container may mount the volumes among ``resources``."""
        self.hold_named(container_id, (mount.name for mount in self.mounts(resources)))

    def hold_named(self, container_id: ContainerId, names: Iterable[str]) -> None:
        """The same of the volumes that have these names at the endpoint."""
        for name in names:
            if name in self._volumes:
                self._volumes[name].containers.add(container_id)

    def held_by(self, container_id: ContainerId) -> set[str]:
        """Names of the volumes that the container may mount."""
        return {name for name, kept in self._volumes.items() if container_id in kept.containers}

    def release(self, container_id: ContainerId) -> None:
        """The endpoint certainly has the container no more."""
        for name, kept in list(self._volumes.items()):
            if container_id in kept.containers:
                kept.containers.discard(container_id)
                if not kept.containers:
                    self._apply(name, VolumeEvent.UNUSED)

    # --- the endpoint ---------------------------------------------------------------------

    def removed(self, name: str) -> None:
        """The endpoint has the volume no more."""
        if name in self._volumes:
            self._apply(name, VolumeEvent.REMOVED)

    def resume_removals(self) -> None:
        """After a restart: order the removals that an earlier process did not see done."""
        for name in list(self._volumes):
            self._apply(name, VolumeEvent.RESTART)

    def report_unknown(self, found: Iterable[Volume]) -> None:
        """Name the volumes at the endpoint that no record knows. None of them is ever removed."""
        owner = self._ctx.settings.shim_id
        unknown = sorted(
            volume.name
            for volume in found
            if is_persistent(volume.name, owner) and volume.name not in self._volumes
        )
        for name in unknown[:_NAMED_AT_ONCE]:
            self._ctx.notice(
                Level.WARNING,
                f"volume {name} is kept, but no master has it on this agent; to remove it with "
                f"its data: docker volume rm {name}",
            )
        if len(unknown) > _NAMED_AT_ONCE:
            more = len(unknown) - _NAMED_AT_ONCE
            text = f"{more} more volumes of this kind: mesos-shim check lists all"
            self._ctx.notice(Level.WARNING, text)

    # --- the table ------------------------------------------------------------------------

    def _apply(self, name: str, event: VolumeEvent) -> None:
        kept = self._volumes[name]
        kept.phase, action = step(kept.phase, event)
        match action:
            case VolumeAction.SAVE:
                self._save(name)
                if not kept.containers:
                    self._apply(name, VolumeEvent.UNUSED)
            case VolumeAction.REMOVE:
                self._ctx.order(RemoveVolume(name))
            case VolumeAction.REMOVE_AGAIN:
                self._ctx.order(RemoveVolume(name, again=True))
            case VolumeAction.FORGET:
                del self._volumes[name]
                self._ctx.record(DropVolume(name))
            case VolumeAction.IGNORE:
                pass

    def _save(self, name: str) -> None:
        kept = self._volumes[name]
        saved = journal_pb2.PersistentVolume(
            role=kept.key.role, persistence_id=kept.key.persistence_id
        )
        if kept.generation:
            saved.generation = kept.generation
        if kept.phase is not VolumePhase.KEPT:
            saved.destroyed = True
        self._ctx.record(SaveVolume(name, saved.SerializeToString()))

    def restore(self, saved: Mapping[str, bytes], resources: Iterable[Resource]) -> None:
        """From the journal. ``resources`` may have volumes of before there were records of them."""
        for name, value in saved.items():
            volume = journal_pb2.PersistentVolume.FromString(value)
            key = VolumeKey(volume.role, volume.persistence_id)
            kept = self._volumes[name] = _Kept(key, volume.generation)
            if volume.destroyed:
                kept.phase = VolumePhase.DESTROYED
            else:
                self._names[key] = name
        for each in resources:
            if each.disk.HasField("persistence") and key_of(each) not in self._names:
                name = self._names[key_of(each)] = self._name(key_of(each), 0)
                self._volumes[name] = _Kept(key_of(each), 0)


def key_of(volume: Resource) -> VolumeKey:
    return VolumeKey(role_of(volume), volume.disk.persistence.id)


def problem(resources: Iterable[Resource], role: str, where: str = "TaskInfo") -> str:
    """Why a task of ``role`` cannot use these persistent volumes; empty when it can.

    ``where`` has the field ``resources``.
    """
    for index, each in enumerate(resources):
        if not each.disk.HasField("persistence"):
            continue
        field, name = f"{where}.resources[{index}]", each.disk.persistence.id
        owner, user = role_of(each), each.allocation_info.role or role
        if not name:
            return f"{field}.disk.persistence.id is empty"
        if each.disk.HasField("source"):
            source = Resource.DiskInfo.Source.Type.Name(each.disk.source.type)
            return (
                f"{field}: volume {name!r} is on a disk with the source {source}, and this agent "
                "has no disks of a host: it makes volumes at its Docker endpoint"
            )
        if each.scalar.value <= 0:
            return f"{field}: volume {name!r} has the size {each.scalar.value:g} MB"
        if user != owner and not user.startswith(f"{owner}/"):
            return f"{field}: volume {name!r} is of role {owner!r}, not of the task's role {user!r}"
    return ""


def problem_of_executor(info: ExecutorInfo, tasks: Iterable[TaskInfo], role: str) -> str:
    """The same of an executor that is launched with these tasks."""
    found = [problem(info.resources, role, f"ExecutorInfo {info.executor_id.value!r}")]
    found += [problem(t.resources, role, f"TaskInfo {t.task_id.value!r}") for t in tasks]
    return next(filter(None, found), "")
