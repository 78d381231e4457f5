"""``container.volumes``: where there is a host, where there are only named volumes, and neither.

The sandbox itself is no mount of a host. It is an anonymous volume into which the agent puts files
by archive (see ``shim.engine.fetch.sandbox_archive``).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from shim.engine.mapping.rules import Rules
from shim.engine.mapping.spec_builder import (
    Field,
    SpecBuilder,
    Triton,
    invalid,
    no_nul,
    plain,
    shown,
)
from shim.protos.mesos_pb2 import MountPropagation, TaskInfo, Volume

NFS = "tritonnfs"
_Source = Volume.Source
_PROPAGATION = {
    MountPropagation.HOST_TO_CONTAINER: "rslave",
    MountPropagation.BIDIRECTIONAL: "rshared",
}

FIELDS = (
    Field(
        "(agent)",
        "Volumes",
        "the sandbox directory is an anonymous volume, gone with the container; files and, for"
        " containers that do not run as root, its mode are put there by archive. On Triton the"
        " directory itself is put there too",
        Triton.NOTE,
    ),
    Field(
        "container.volumes.container_path",
        "target",
        "a relative one is in the sandbox directory",
    ),
    Field("container.volumes.mode", ":ro or ReadOnly", "RW or RO"),
    Field(
        "container.volumes.host_path (absolute), container.volumes.source.host_path",
        "HostConfig.Binds (HostConfig.Mounts when a path holds a colon)",
        "a bind mount of the engine's host, with the mount propagation of `source.host_path`",
        Triton.REFUSED,
    ),
    Field(
        "container.volumes.host_path (relative), container.volumes.source.sandbox_path",
        "Volumes",
        "a directory of the sandbox, which has no host: an anonymous volume at the destination,"
        " filled with what was fetched into that directory; refused when read-only and nothing is"
        " fetched, when both paths are relative, and when it leaves the sandbox",
    ),
    Field(
        "container.volumes.source.docker_volume, container.volumes.host_path with"
        " container.docker.volume_driver",
        "HostConfig.Binds, HostConfig.VolumeDriver",
        "a named volume; one driver per task. On Triton only `tritonnfs`",
        Triton.NOTE,
    ),
    Field(
        "container.volumes.source.docker_volume.driver_options",
        "HostConfig.Mounts[].VolumeOptions.DriverConfig",
        "applied when the engine makes the volume",
        Triton.NO,
    ),
    Field(
        "container.volumes.image, container.volumes.source.secret,"
        " container.volumes.source.csi_volume",
        "-",
        "refused",
        Triton.REFUSED,
        "refused",
    ),
    Field(
        "container.docker.volume_driver",
        "HostConfig.VolumeDriver",
        "deprecated by Mesos",
        Triton.NOTE,
    ),
)


@dataclass(frozen=True, slots=True)
class SandboxVolume:
    """A sandbox directory that the task wants to see at another place too."""

    directory: str
    """Relative to the sandbox."""
    destination: str
    """Absolute, in the container."""


def sandbox_volumes(task: TaskInfo, rules: Rules) -> tuple[SandboxVolume, ...]:
    """Which fetched files belong (also) outside the sandbox directory. For a task that maps."""
    driver = task.container.docker.volume_driver
    return tuple(
        SandboxVolume(posixpath.normpath(path), _destination(rules, volume))
        for volume in task.container.volumes
        if (path := _sandbox_path(volume, driver)) is not None
    )


def map_volumes(draft: SpecBuilder) -> None:
    """Binds, Mounts and anonymous volumes, in task order."""
    if draft.container.docker.volume_driver:
        _set_driver(draft, draft.container.docker.volume_driver, "container.docker.volume_driver")
    for i, volume in enumerate(draft.container.volumes):
        _map_volume(draft, volume, f"container.volumes[{i}]")


def _map_volume(draft: SpecBuilder, volume: Volume, field: str) -> None:
    for name in ("host_path", "container_path"):
        no_nul(f"{field}.{name}", getattr(volume, name))
    if not volume.container_path:
        invalid("Empty path", f"{field}.container_path")
    driver = draft.container.docker.volume_driver
    if volume.source.type == _Source.DOCKER_VOLUME:
        _named(draft, volume, volume.source.docker_volume, field)
    elif volume.source.type == _Source.HOST_PATH:
        propagation = volume.source.host_path.mount_propagation.mode
        path = volume.source.host_path.path
        _bind(
            draft, volume, path, f"{field}.source.host_path.path", _PROPAGATION.get(propagation, "")
        )
    elif _sandbox_path(volume, driver) is not None:
        _anonymous(draft, volume, field)
    elif volume.host_path.startswith("/"):
        _bind(draft, volume, volume.host_path, f"{field}.host_path")
    elif volume.host_path:
        _named(draft, volume, _Source.DockerVolume(name=volume.host_path), field)
    else:
        _no_source(volume, field)


def _sandbox_path(volume: Volume, driver: str) -> str | None:
    """The sandbox directory a volume is about, if it is about one."""
    if volume.source.type == _Source.SANDBOX_PATH:
        return volume.source.sandbox_path.path
    relative = volume.host_path and not volume.host_path.startswith("/")
    return volume.host_path if relative and not driver and not volume.HasField("source") else None


def _no_source(volume: Volume, field: str) -> None:
    if volume.HasField("image"):
        invalid("Images cannot be mounted as volumes", f"{field}.image")
    if volume.HasField("source"):
        kind = _Source.Type.Name(volume.source.type)
        invalid("Volumes of this kind are not supported", f"{field}.source.type", kind)
    invalid("Host path or volume source is required", field, volume.container_path)


def _destination(rules: Rules, volume: Volume) -> str:
    return posixpath.join(rules.sandbox_directory, volume.container_path)


def _bind(draft: SpecBuilder, volume: Volume, path: str, field: str, propagation: str = "") -> None:
    no_nul(field, path)
    if not path.startswith("/"):
        invalid("Not an absolute path of the engine's host", field, path)
    draft.honoured(Triton.REFUSED, field, path)
    target, read_only = _destination(draft.rules, volume), volume.mode == Volume.RO
    if ":" in path or ":" in target:
        mount = {"Type": "bind", "Source": path, "Target": target, "ReadOnly": read_only}
        if propagation:
            mount["BindOptions"] = {"Propagation": propagation}
        draft.append("HostConfig.Mounts", mount)
        return
    mode = ("ro" if read_only else "rw") + (f",{propagation}" if propagation else "")
    draft.append("HostConfig.Binds", f"{path}:{target}:{mode}")


def _anonymous(draft: SpecBuilder, volume: Volume, field: str) -> None:
    path = _sandbox_path(volume, draft.container.docker.volume_driver) or ""
    if volume.source.sandbox_path.type == _Source.SandboxPath.PARENT:
        invalid("A task has no parent whose sandbox it could see", f"{field}.source.sandbox_path")
    if not volume.container_path.startswith("/"):
        invalid(
            f"Both host_path {shown(path)} and container_path {shown(volume.container_path)} of a"
            " volume are relative",
            field,
        )
    if posixpath.normpath(path).split("/")[0] in ("..", "") or "\0" in path:
        invalid("The path leaves the sandbox", f"{field}.host_path", path)
    if volume.mode == Volume.RO and not draft.task.command.uris:
        invalid(
            "A read-only sandbox directory into which nothing is fetched has nothing to read",
            f"{field}.host_path",
            path,
        )
    draft.merge("Volumes", {volume.container_path: {}})
    mode = ", and writable" if volume.mode == Volume.RO else ""
    draft.warn(
        f"{field}.host_path {shown(path)}: there is no host to keep the sandbox, so"
        f" {plain(volume.container_path)} is an anonymous volume, gone with the container{mode}"
    )


def _named(draft: SpecBuilder, volume: Volume, source: _Source.DockerVolume, field: str) -> None:
    name = no_nul(f"{field}.source.docker_volume.name", source.name)
    if not name or "/" in name or ":" in name:
        invalid("Not a volume's name", f"{field}.source.docker_volume.name", name)
    if source.driver:
        _set_driver(draft, source.driver, f"{field}.source.docker_volume.driver")
    target, read_only = _destination(draft.rules, volume), volume.mode == Volume.RO
    options = {option.key: option.value for option in source.driver_options.parameter}
    field = f"{field}.source.docker_volume.driver_options"
    if options and not draft.honoured(Triton.NO, field, ", ".join(options)):
        options = {}
    if not draft.rules.triton and (options or ":" in target):
        config = {"Name": source.driver or draft.container.docker.volume_driver, "Options": options}
        mount = {"Type": "volume", "Source": name, "Target": target, "ReadOnly": read_only}
        draft.append("HostConfig.Mounts", mount | {"VolumeOptions": {"DriverConfig": config}})
        return
    draft.append("HostConfig.Binds", f"{name}:{target}:{'ro' if read_only else 'rw'}")


def _set_driver(draft: SpecBuilder, driver: str, field: str) -> None:
    """The engine has one driver per container for the volumes it makes by the way."""
    no_nul(field, driver)
    if draft.rules.triton and driver not in (NFS, "local"):
        invalid(f"Triton has no volume driver but {NFS}", field, driver)
    present = draft.get("HostConfig.VolumeDriver")
    if present is not None and present != driver:
        per_task = bool(draft.container.docker.volume_driver)
        what = (
            "Only one volume driver per task is supported"
            if per_task
            else ("Only one volume driver is supported")
        )
        invalid(what, field, driver)
    draft.put("HostConfig.VolumeDriver", driver)
