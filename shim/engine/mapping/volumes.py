"""``container.volumes``: bind mounts, named volumes, and directories of the sandbox.

The sandbox itself is an anonymous volume. The agent puts files into the volume by archive (see
``shim.engine.fetch.sandbox_archive``).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from shim.engine.mapping.mapping_settings import MappingSettings
from shim.engine.mapping.persistent_volumes import mount_named, volume_at
from shim.engine.mapping.shared_volumes import is_parents, map_parents
from shim.engine.mapping.spec_builder import (
    FieldRow,
    SpecBuilder,
    TritonSupport,
    printable,
    quoted,
    reject,
    without_nul,
)
from shim.model.volume import VolumeMount
from shim.protos.mesos_pb2 import MountPropagation, TaskInfo, Volume

NFS = "tritonnfs"
_Source = Volume.Source
_PROPAGATION = {
    MountPropagation.HOST_TO_CONTAINER: "rslave",
    MountPropagation.BIDIRECTIONAL: "rshared",
}

FIELDS = (
    FieldRow(
        "(agent)",
        "Volumes",
        "the sandbox directory is an anonymous volume, removed with the container; files and, for"
        " containers that do not run as root, its mode are put there by archive. On Triton the"
        " directory itself is put there too",
        TritonSupport.SEE_NOTE,
    ),
    FieldRow(
        "container.volumes.container_path",
        "target",
        "a relative one is in the sandbox directory",
    ),
    FieldRow("container.volumes.mode", ":ro or ReadOnly", "RW or RO"),
    FieldRow(
        "container.volumes.host_path (absolute), container.volumes.source.host_path",
        "HostConfig.Binds (HostConfig.Mounts when a path holds a colon)",
        "a bind mount of the engine's host, with the mount propagation of `source.host_path`",
        TritonSupport.REFUSED,
    ),
    FieldRow(
        "container.volumes.host_path (relative), container.volumes.source.sandbox_path",
        "Volumes",
        "a directory of the sandbox, which has no host: an anonymous volume at the destination,"
        " filled with what was fetched into that directory; refused when read-only and nothing is"
        " fetched, when both paths are relative, and when it leaves the sandbox. A directory that"
        " is a persistent volume of the task is that volume",
    ),
    FieldRow(
        "container.volumes.source.docker_volume, container.volumes.host_path with"
        " container.docker.volume_driver",
        "HostConfig.Binds, HostConfig.VolumeDriver",
        "a named volume; one driver per task. On Triton only `tritonnfs`",
        TritonSupport.SEE_NOTE,
    ),
    FieldRow(
        "container.volumes.source.docker_volume.driver_options",
        "HostConfig.Mounts[].VolumeOptions.DriverConfig",
        "applied when the engine makes the volume",
        TritonSupport.UNSUPPORTED,
    ),
    FieldRow(
        "container.volumes.image, container.volumes.source.secret,"
        " container.volumes.source.csi_volume",
        "-",
        "refused",
        TritonSupport.REFUSED,
        "refused",
    ),
    FieldRow(
        "container.docker.volume_driver",
        "HostConfig.VolumeDriver",
        "deprecated by Mesos",
        TritonSupport.SEE_NOTE,
    ),
)


@dataclass(frozen=True, slots=True)
class SandboxVolume:
    """A directory of the sandbox that a task mounts at a second place."""

    directory: str
    """Relative to the sandbox."""
    destination: str
    """Absolute, in the container."""


def sandbox_volumes(task: TaskInfo, settings: MappingSettings) -> tuple[SandboxVolume, ...]:
    """Return the sandbox directories that a task mounts elsewhere. The task is a mappable one.

    A directory that is a persistent volume is not among them.
    """
    driver = task.container.docker.volume_driver
    persistent = {
        posixpath.normpath(resource.disk.volume.container_path)
        for resource in task.resources
        if resource.disk.HasField("persistence")
    }
    return tuple(
        SandboxVolume(posixpath.normpath(path), settings.in_sandbox(volume.container_path))
        for volume in task.container.volumes
        if not is_parents(volume)
        and (path := _sandbox_path(volume, driver)) is not None
        and posixpath.normpath(path) not in persistent
    )


def map_volumes(builder: SpecBuilder) -> None:
    """Set Binds, Mounts and anonymous volumes, in the order of the task."""
    if builder.container.docker.volume_driver:
        _set_driver(
            builder, builder.container.docker.volume_driver, "container.docker.volume_driver"
        )
    for i, volume in enumerate(builder.container.volumes):
        _map_volume(builder, volume, f"container.volumes[{i}]")


def _map_volume(builder: SpecBuilder, volume: Volume, field: str) -> None:
    for name in ("host_path", "container_path"):
        without_nul(f"{field}.{name}", getattr(volume, name))
    if not volume.container_path:
        reject("Empty path", f"{field}.container_path")
    driver = builder.container.docker.volume_driver
    if volume.source.type == _Source.DOCKER_VOLUME:
        _named(builder, volume, volume.source.docker_volume, field)
    elif volume.source.type == _Source.HOST_PATH:
        propagation = volume.source.host_path.mount_propagation.mode
        path = volume.source.host_path.path
        _bind(
            builder,
            volume,
            path,
            f"{field}.source.host_path.path",
            _PROPAGATION.get(propagation, ""),
        )
    elif builder.member is not None and is_parents(volume):
        own = map_parents(builder, builder.member, volume, field)
        if own is not None:
            _map_volume(builder, own, field)
    elif (directory := _sandbox_path(volume, driver)) is not None:
        if (mount := volume_at(builder.persistent, directory)) is not None:
            _persistent(builder, volume, mount)
        else:
            _anonymous(builder, volume, field)
    elif volume.host_path.startswith("/"):
        _bind(builder, volume, volume.host_path, f"{field}.host_path")
    elif volume.host_path:
        _named(builder, volume, _Source.DockerVolume(name=volume.host_path), field)
    else:
        _reject_source(volume, field)


def _sandbox_path(volume: Volume, driver: str) -> str | None:
    """Return the sandbox directory that a volume mounts, or None for another kind of volume."""
    if volume.source.type == _Source.SANDBOX_PATH:
        return volume.source.sandbox_path.path
    relative = volume.host_path and not volume.host_path.startswith("/")
    return volume.host_path if relative and not driver and not volume.HasField("source") else None


def _reject_source(volume: Volume, field: str) -> None:
    if volume.HasField("image"):
        reject("Images cannot be mounted as volumes", f"{field}.image")
    if volume.HasField("source"):
        kind = _Source.Type.Name(volume.source.type)
        reject("Volumes of this kind are not supported", f"{field}.source.type", kind)
    reject("Host path or volume source is required", field, volume.container_path)


def _bind(
    builder: SpecBuilder, volume: Volume, path: str, field: str, propagation: str = ""
) -> None:
    without_nul(field, path)
    if not path.startswith("/"):
        reject("Not an absolute path of the engine's host", field, path)
    builder.check_support(TritonSupport.REFUSED, field, path)
    target, read_only = builder.settings.in_sandbox(volume.container_path), volume.mode == Volume.RO
    if ":" in path or ":" in target:
        mount = {"Type": "bind", "Source": path, "Target": target, "ReadOnly": read_only}
        if propagation:
            mount["BindOptions"] = {"Propagation": propagation}
        builder.append("HostConfig.Mounts", mount)
        return
    mode = ("ro" if read_only else "rw") + (f",{propagation}" if propagation else "")
    builder.append("HostConfig.Binds", f"{path}:{target}:{mode}")


def _persistent(builder: SpecBuilder, volume: Volume, mount: VolumeMount) -> None:
    """A second place of a persistent volume that the task has in its sandbox."""
    read_only = mount.read_only or volume.mode == Volume.RO
    mount_named(
        builder, mount, builder.settings.in_sandbox(volume.container_path), read_only=read_only
    )


def _anonymous(builder: SpecBuilder, volume: Volume, field: str) -> None:
    path = _sandbox_path(volume, builder.container.docker.volume_driver) or ""
    if volume.source.sandbox_path.type == _Source.SandboxPath.PARENT:
        reject("The sandbox of a parent container is not supported", f"{field}.source.sandbox_path")
    if not volume.container_path.startswith("/"):
        reject(
            f"Both host_path {quoted(path)} and container_path {quoted(volume.container_path)} of a"
            " volume are relative",
            field,
        )
    if posixpath.normpath(path).split("/")[0] in ("..", "") or "\0" in path:
        reject("The path leaves the sandbox", f"{field}.host_path", path)
    if volume.mode == Volume.RO and not builder.task.command.uris:
        reject(
            "Read-only sandbox volume would be empty: the task has no URIs",
            f"{field}.host_path",
            path,
        )
    builder.update("Volumes", {volume.container_path: {}})
    mode = ", and writable" if volume.mode == Volume.RO else ""
    builder.warn(
        f"{field}.host_path {quoted(path)}: no host keeps the sandbox, so"
        f" {printable(volume.container_path)} is an anonymous volume, removed with the"
        f" container{mode}"
    )


def _named(builder: SpecBuilder, volume: Volume, source: _Source.DockerVolume, field: str) -> None:
    name = without_nul(f"{field}.source.docker_volume.name", source.name)
    if not name or "/" in name or ":" in name:
        reject("Not a volume's name", f"{field}.source.docker_volume.name", name)
    if source.driver:
        _set_driver(builder, source.driver, f"{field}.source.docker_volume.driver")
    target, read_only = builder.settings.in_sandbox(volume.container_path), volume.mode == Volume.RO
    options = {option.key: option.value for option in source.driver_options.parameter}
    field = f"{field}.source.docker_volume.driver_options"
    if options and not builder.check_support(TritonSupport.UNSUPPORTED, field, ", ".join(options)):
        options = {}
    if not builder.settings.triton and (options or ":" in target):
        config = {
            "Name": source.driver or builder.container.docker.volume_driver,
            "Options": options,
        }
        mount = {"Type": "volume", "Source": name, "Target": target, "ReadOnly": read_only}
        builder.append("HostConfig.Mounts", mount | {"VolumeOptions": {"DriverConfig": config}})
        return
    builder.append("HostConfig.Binds", f"{name}:{target}:{'ro' if read_only else 'rw'}")


def _set_driver(builder: SpecBuilder, driver: str, field: str) -> None:
    """Set the one driver per container with which the engine creates named volumes."""
    without_nul(field, driver)
    if builder.settings.triton and driver not in (NFS, "local"):
        reject(f"Triton has no volume driver but {NFS}", field, driver)
    present = builder.get("HostConfig.VolumeDriver")
    if present is not None and present != driver:
        per_task = bool(builder.container.docker.volume_driver)
        what = (
            "Only one volume driver per task is supported"
            if per_task
            else ("Only one volume driver is supported")
        )
        reject(what, field, driver)
    builder.set("HostConfig.VolumeDriver", driver)
