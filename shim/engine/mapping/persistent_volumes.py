"""Persistent volumes of Mesos: named volumes, mounted where ``resources`` says.

The volumes exist when the container is created:
see ``shim.engine.containers.volume_provisioner``. A sandbox directory that is such a volume may be
mounted a second time by ``container.volumes``, as Marathon's resident Docker apps do.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence

from shim.engine.mapping.spec_builder import (
    FieldRow,
    SpecBuilder,
    TritonSupport,
    reject,
    without_nul,
)
from shim.model.volume import VolumeMount

FIELDS = (
    FieldRow(
        "resources.disk.persistence, resources.disk.volume",
        "HostConfig.Mounts, POST /volumes/create",
        "a named volume of this role and persistence id, which outlives the task; on Triton a"
        " `tritonnfs` volume (HostConfig.Binds)",
        TritonSupport.SEE_NOTE,
    ),
    FieldRow(
        "resources.disk.volume.container_path",
        "HostConfig.Mounts[].Target",
        "a relative one is in the sandbox directory; not `/`, no `..`, no path twice",
    ),
    FieldRow("resources.disk.volume.mode", "HostConfig.Mounts[].ReadOnly", "RW or RO"),
)
_PATH = "resources.disk.volume.container_path"


def map_persistent_volumes(builder: SpecBuilder) -> None:
    """Mount the volumes of ``builder.persistent``, after everything else that is mounted.

    Raises InvalidTask for an unusable path.
    """
    of_executor = () if builder.member is None else builder.member.volumes
    if builder.settings.volumes_missing and (*builder.persistent, *of_executor):
        names = ", ".join(mount.persistence_id for mount in (*builder.persistent, *of_executor))
        reject(builder.settings.volumes_missing, "resources.disk.persistence.id", names)
    _check_all_mounted(builder)
    _mount_points(builder, of_executor, set(), f"executor.{_PATH}")
    targets = _mount_points(builder, builder.persistent, set(_targets(builder)), _PATH)
    for mount, target in zip(builder.persistent, targets, strict=True):
        mount_named(builder, mount, target, read_only=mount.read_only)


def _mount_points(
    builder: SpecBuilder, mounts: Sequence[VolumeMount], taken: set[str], field: str
) -> Sequence[str]:
    """The absolute path of each. Raises InvalidTask for an unusable one, and for one twice."""
    targets = []
    for mount in mounts:
        target = mount_point(builder.settings.sandbox_directory, mount, field)
        if target in taken:
            reject("The path is used twice", field, mount.container_path)
        taken.add(target)
        targets.append(target)
    return targets


def _check_all_mounted(builder: SpecBuilder) -> None:
    """No task runs without a volume that it was given."""
    known = {mount.persistence_id for mount in builder.persistent}
    for index, resource in enumerate(builder.task.resources):
        name = resource.disk.persistence.id
        if resource.disk.HasField("persistence") and name not in known:
            reject("Unknown volume", f"resources[{index}].disk.persistence.id", name)


def mount_point(sandbox: str, mount: VolumeMount, field: str) -> str:
    """The absolute path of the volume in the container. Raises InvalidTask for an unusable one."""
    path = without_nul(field, mount.container_path)
    if not path:
        reject("Empty path", field)
    if ".." in path.split("/"):
        reject("The path has a component '..'", field, path)
    # POSIX lets two slashes at the beginning stand for something else.
    target = "/" + posixpath.normpath(posixpath.join(sandbox, path)).lstrip("/")
    if target == "/":
        reject("A volume cannot be the root of a container", field, path)
    if target == posixpath.normpath(sandbox):
        reject("A volume cannot be the sandbox itself", field, path)
    return target


def mount_named(builder: SpecBuilder, mount: VolumeMount, target: str, *, read_only: bool) -> None:
    """Mount the volume at an absolute path. It stays empty: nothing of the image is copied."""
    if builder.settings.triton or not builder.settings.supports_api("1.25"):
        if ":" in target:
            reject("A path with a colon cannot be mounted at this endpoint", _PATH, target)
        builder.append("HostConfig.Binds", f"{mount.name}:{target}:{'ro' if read_only else 'rw'}")
        return
    builder.append(
        "HostConfig.Mounts",
        {
            "Type": "volume",
            "Source": mount.name,
            "Target": target,
            "ReadOnly": read_only,
            "VolumeOptions": {"NoCopy": True},
        },
    )


def volume_at(mounts: Sequence[VolumeMount], path: str) -> VolumeMount | None:
    """The volume that is this directory of the sandbox; None for a plain directory.

    Raises InvalidTask for a directory inside a volume, which no engine mounts by itself.
    """
    wanted = posixpath.normpath(path)
    for mount in mounts:
        place = posixpath.normpath(mount.container_path)
        if place == wanted:
            return mount
        if wanted.startswith(f"{place}/"):
            reject("A directory of a persistent volume cannot be mounted", "host_path", path)
    return None


def _targets(builder: SpecBuilder) -> Iterable[str]:
    """Where ``container.volumes`` and the parameters of Docker mount something."""
    for bind in builder.get("HostConfig.Binds") or ():
        yield posixpath.normpath(bind.split(":")[1])
    for mount in builder.get("HostConfig.Mounts") or ():
        yield posixpath.normpath(mount["Target"])
    for path in (*(builder.get("HostConfig.Tmpfs") or ()), *(builder.get("Volumes") or ())):
        yield posixpath.normpath(path)
