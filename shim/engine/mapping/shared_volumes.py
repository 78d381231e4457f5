"""``source.sandbox_path`` of type PARENT: directories that the tasks of an executor share.

What Mesos keeps in the executor's sandbox are named volumes here. The engine makes one with the
first container that mounts it, and the agent removes it with the executor. Triton has no such
volumes: there the first task lends its directories to the others, by VolumesFrom.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shim.engine.mapping.mapping_settings import MappingSettings
from shim.engine.mapping.persistent_volumes import mount_named, volume_at
from shim.engine.mapping.spec_builder import FieldRow, SpecBuilder, TritonSupport, quoted, reject
from shim.model.container import LABEL_CONTAINER, LABEL_EXECUTOR, LABEL_FRAMEWORK, LABEL_SHIM
from shim.model.orders import Launch, MemberOf
from shim.model.volume import volume_name
from shim.protos.mesos_pb2 import TaskInfo, Volume

MOST_VOLUMES_ON_TRITON = 8
_PARENT = Volume.Source.SandboxPath.PARENT

FIELDS = (
    FieldRow(
        "container.volumes.source.sandbox_path: PARENT",
        "HostConfig.Mounts",
        "a volume of the executor, which all its tasks may mount and which is removed with it. A"
        " volume of the executor's own container with this `container_path` is mounted, so is a"
        " persistent volume of the executor. On"
        " Triton, which has no such volumes, the first task lends its directory to the others by"
        " VolumesFrom: all must mount the same paths at the same places",
        TritonSupport.SEE_NOTE,
    ),
)


@dataclass(frozen=True, slots=True)
class SharedVolume:
    """A directory of the executor's sandbox that a task mounts."""

    path: str
    """Relative to the sandbox of the executor."""
    destination: str
    """Absolute, in the task's container."""
    read_only: bool


def shared_volumes(order: Launch, settings: MappingSettings) -> tuple[SharedVolume, ...]:
    """Return the executor's volumes that a mappable task in a task group mounts."""
    if order.executor is None:
        return ()
    return tuple(
        _shared(volume, settings)
        for volume in order.task.container.volumes
        if is_parents(volume)
        and _of_executor(order.executor, volume) is None
        and volume_at(order.executor.volumes, volume.source.sandbox_path.path) is None
    )


def is_parents(volume: Volume) -> bool:
    """Whether the volume is a directory of the executor's sandbox."""
    source = volume.source
    return source.type == Volume.Source.SANDBOX_PATH and source.sandbox_path.type == _PARENT


def map_parents(
    builder: SpecBuilder, member: MemberOf, volume: Volume, field: str
) -> Volume | None:
    """Mount a directory of the executor's sandbox.

    Returns a volume to be mapped in its place, where the executor itself mounts one at that path.
    """
    path = volume.source.sandbox_path.path
    if posixpath.normpath(path).split("/")[0] in ("..", ".", "") or "\0" in path:
        reject("The path leaves the sandbox", f"{field}.source.sandbox_path.path", path)
    if (own := _of_executor(member, volume)) is not None:
        result = Volume()
        result.CopyFrom(own)
        result.container_path = volume.container_path
        result.mode = Volume.RO if Volume.RO in (volume.mode, own.mode) else Volume.RW
        return result
    shared = _shared(volume, builder.settings)
    if (kept := volume_at(member.volumes, path)) is not None:
        read_only = kept.read_only or shared.read_only
        mount_named(builder, kept, shared.destination, read_only=read_only)
        return None
    _refuse_overlaps(member, shared, field)
    if builder.settings.triton:
        _share_on_triton(builder, member, shared, field)
    elif not builder.settings.supports_api("1.25"):
        reject("The engine's API is older than 1.25", f"{field}.source.sandbox_path", shared.path)
    else:
        builder.append("HostConfig.Mounts", _mount(builder, member, shared))
    return None


def _shared(volume: Volume, settings: MappingSettings) -> SharedVolume:
    path = posixpath.normpath(volume.source.sandbox_path.path)
    destination = posixpath.normpath(settings.in_sandbox(volume.container_path))
    return SharedVolume(path, destination, volume.mode == Volume.RO)


def _of_executor(member: MemberOf, volume: Volume) -> Volume | None:
    """Return the volume that the executor's own container has at a path of its sandbox."""
    path = posixpath.normpath(volume.source.sandbox_path.path)
    for own in member.executor.container.volumes:
        if posixpath.normpath(own.container_path) == path and not is_parents(own):
            return own
    return None


def _refuse_overlaps(member: MemberOf, shared: SharedVolume, field: str) -> None:
    """Refuse a directory inside of another: each directory is a volume of its own."""
    for _, task in member.group:
        for volume in filter(is_parents, task.container.volumes):
            other = posixpath.normpath(volume.source.sandbox_path.path)
            shorter, longer = sorted([other, shared.path], key=len)
            if other != shared.path and longer.startswith(f"{shorter}/"):
                reject(
                    f"Only one of a path and a path below it ({quoted(other)}) can be shared",
                    f"{field}.source.sandbox_path.path",
                    shared.path,
                )


def _mount(builder: SpecBuilder, member: MemberOf, shared: SharedVolume) -> Mapping[str, object]:
    """Return the mount of a named volume. The engine makes the volume with the first container."""
    shim_id = builder.settings.shim_id
    key = member.ref.key
    labels = {
        LABEL_SHIM: shim_id,
        LABEL_FRAMEWORK: key.framework_id,
        LABEL_EXECUTOR: member.executor.executor_id.value,
        LABEL_CONTAINER: member.ref.container_id,
    }
    return {
        "Type": "volume",
        "Source": volume_name(shim_id, "executor", member.ref.container_id, shared.path),
        "Target": shared.destination,
        "ReadOnly": shared.read_only,
        # Without NoCopy the engine copies what the image has at the destination.
        "VolumeOptions": {"NoCopy": True, "Labels": labels},
    }


def _share_on_triton(
    builder: SpecBuilder, member: MemberOf, shared: SharedVolume, field: str
) -> None:
    """Lend or borrow. A container borrows all volumes of one other, at the same paths."""
    if shared.read_only:
        builder.check_support(TritonSupport.UNSUPPORTED, f"{field}.mode", "RO")
    places = {
        name: _places(task, member, builder.settings)
        for name, task in _named_tasks(builder, member)
    }
    own = places[builder.name]
    users = [name for name, mounted in places.items() if mounted]
    different = next((name for name in users if places[name] != own), None)
    if different is not None or len(own) > MOST_VOLUMES_ON_TRITON:
        reject(
            "On Triton the tasks of a task group share a volume only if all that mount any mount"
            f" the same ones at the same paths, {MOST_VOLUMES_ON_TRITON} at most",
            f"{field}.source.sandbox_path.path",
            shared.path,
        )
    if users[0] == builder.name:
        builder.update("Volumes", {shared.destination: {}})
    elif not builder.starts_after:
        builder.append("HostConfig.VolumesFrom", users[0])
        builder.starts_after = users[0]


def _named_tasks(builder: SpecBuilder, member: MemberOf) -> Sequence[tuple[str, TaskInfo]]:
    return [(ref.name, task) for ref, task in member.group] or [(builder.name, builder.task)]


def _places(task: TaskInfo, member: MemberOf, settings: MappingSettings) -> Mapping[str, str]:
    """Return the destination of each shared volume by its path."""
    return {
        shared.path: shared.destination
        for volume in task.container.volumes
        if is_parents(volume)
        and _of_executor(member, volume) is None
        and volume_at(member.volumes, volume.source.sandbox_path.path) is None
        for shared in [_shared(volume, settings)]
    }
