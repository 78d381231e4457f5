"""``container_spec``: one TaskInfo in, the create request of one container out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shim.engine.api import ContainerSpec, ImageRef
from shim.engine.images.image_reference import parse_image
from shim.engine.mapping import (
    command,
    isolation,
    labels,
    network,
    persistent_volumes,
    resources,
    volumes,
)
from shim.engine.mapping.mapping_settings import MappingSettings
from shim.engine.mapping.parameters import apply_parameters
from shim.engine.mapping.pod import is_infra, map_infra, refuse_own_network
from shim.engine.mapping.spec_builder import NET, FieldRow, SpecBuilder, TritonSupport, reject
from shim.model.container import Ref
from shim.model.orders import MemberOf
from shim.model.volume import VolumeMount
from shim.protos.mesos_pb2 import ContainerInfo, Image, TaskInfo

FIELDS = (
    FieldRow(
        "container.type",
        "-",
        "`DOCKER`, or `MESOS` with a Docker image; a task without a container cannot run",
    ),
    FieldRow("container.docker.image", "Image", "`:latest` when it has neither tag nor digest"),
    FieldRow(
        "container.docker.force_pull_image", "POST /images/create", "pulled also when present"
    ),
    FieldRow("container.mesos.image.docker.name", "Image", "as container.docker.image"),
    FieldRow(
        "container.mesos.image.cached", "POST /images/create", "false: pulled also when present"
    ),
    FieldRow(
        "container.mesos.image.docker.config, container.mesos.image.docker.credential",
        "X-Registry-Auth",
        "`config` with a secret's value is the Docker config of the pull; `credential`"
        " (deprecated) is a warning",
    ),
    FieldRow("container.mesos.image.appc", "-", "refused", TritonSupport.REFUSED, "refused"),
)


def container_spec(
    ref: Ref,
    task: TaskInfo,
    *,
    agent_id: str,
    executor_id: str,
    settings: MappingSettings,
    member: MemberOf | None = None,
    persistent: tuple[VolumeMount, ...] = (),
) -> ContainerSpec:
    """Return the create request of a task on an endpoint with these settings. Deterministic.

    ``member``: of a task in a task group. An executor's own container is mapped by a task that
    stands for it (see ``executor``). ``persistent`` are the persistent volumes among its resources.

    InvalidTask names the field and the value that cannot be honoured, and is the only exception.
    Fields that are dropped without harm are in the spec's warnings.
    """
    builder = SpecBuilder(
        settings, with_default_container(task, settings), ref.name, member, persistent
    )
    image = _image(builder)
    _put_defaults(builder)
    labels.map_labels(builder, ref, agent_id, executor_id)
    if is_infra(ref, task):
        network.map_network(builder)
        map_infra(builder)
    else:
        command.map_command(builder)
        command.map_environment(builder, ref.name)
        resources.map_resources(builder)
        network.map_network(builder)
        volumes.map_volumes(builder)
        isolation.map_isolation(builder)
        apply_parameters(builder)
        persistent_volumes.map_persistent_volumes(builder)
        command.map_workdir(builder, on_host=_is_on_host(task, member))
    _finish(builder, image)
    return ContainerSpec(
        name=ref.name,
        image=image,
        body=builder.body,
        force_pull=builder.force_pull,
        platform=builder.platform,
        starts_after=builder.starts_after,
        default_workdir=builder.default_workdir,
        completes_image_command=builder.completes_image_command,
        warnings=tuple(builder.warnings),
    )


def with_default_container(task: TaskInfo, settings: MappingSettings) -> TaskInfo:
    """Return the task with the default container where it has none, or with its image.

    The image counts for a ``MESOS`` container without one, which a stock agent runs on the file
    system of its host.
    """
    default = settings.default_container_info
    if default is None or (task.HasField("container") and _has_image(task.container)):
        return task
    result = TaskInfo()
    result.CopyFrom(task)
    if not task.HasField("container"):
        result.container.CopyFrom(default)
    elif default.type == ContainerInfo.DOCKER:
        image = result.container.mesos.image
        image.type, image.cached = Image.DOCKER, not default.docker.force_pull_image
        image.docker.name = default.docker.image
    else:
        result.container.mesos.image.CopyFrom(default.mesos.image)
    return result


def _has_image(container: ContainerInfo) -> bool:
    return container.type == ContainerInfo.DOCKER or container.mesos.HasField("image")


def _is_on_host(task: TaskInfo, member: MemberOf | None) -> bool:
    """Whether a stock agent would run it on the file system of its host, whatever its defaults."""
    if task.HasField("container"):
        return not _has_image(task.container)
    return member is not None


def _image(builder: SpecBuilder) -> ImageRef:
    if not builder.task.HasField("container"):
        reject(
            "The agent runs Docker containers only; TaskInfo.container is required",
            "container",
            "unset",
        )
    if not builder.is_docker:
        return _mesos_image(builder)
    docker = builder.container.docker
    builder.force_pull = docker.force_pull_image
    if not docker.image:
        reject("No image", "container.docker.image", "")
    return parse_image(docker.image, "container.docker.image")


def _mesos_image(builder: SpecBuilder) -> ImageRef:
    image = builder.container.mesos.image
    if image.type == Image.APPC and builder.container.mesos.HasField("image"):
        reject("Only Docker images can be run", "container.mesos.image.type", "APPC")
    if not image.docker.name:
        hint = ", and --default_container_info names none" if builder.member is not None else ""
        reject(f"No image{hint}", "container.mesos.image.docker.name", "")
    if image.docker.HasField("credential"):
        builder.warn("container.mesos.image.docker.credential: not used; docker.config is")
    builder.force_pull = not image.cached
    return parse_image(image.docker.name, "container.mesos.image.docker.name")


def _put_defaults(builder: SpecBuilder) -> None:
    """Set what ``docker run`` always sets. Stdin is empty."""
    builder.body.update(AttachStdin=False, AttachStdout=True, AttachStderr=True)
    builder.set("HostConfig.RestartPolicy", {"Name": "no"})


def _finish(builder: SpecBuilder, image: ImageRef) -> None:
    """Set the parts that depend on the last parameter."""
    builder.body["Image"] = image.text
    variables = [f"{name}={value}" for name, value in builder.env.items()]
    builder.body["Env"] = variables + builder.affinities
    builder.body["Labels"] = builder.labels
    builder.set("HostConfig.NetworkMode", builder.network)
    _finish_links(builder)
    _finish_endpoints(builder)
    if builder.settings.triton and _asks_for_public_address(builder):
        _publish_exposed(builder)
    if builder.get("HostConfig.ReadonlyRootfs"):
        builder.update("Volumes", {builder.settings.sandbox_directory: {}})
    if builder.network.startswith("container:") and builder.infra:
        refuse_own_network(builder)
    for path in _nul_paths(builder.body):
        reject("NUL byte", path)


def _finish_links(builder: SpecBuilder) -> None:
    if not builder.links:
        return
    if builder.settings.triton and builder.network not in ("bridge", "default"):
        names = ", ".join(builder.links)
        reject(
            "Triton links only on its default network", "container.docker.parameters link", names
        )
    builder.set(f"{NET}.Links" if builder.user_network else "HostConfig.Links", builder.links)


def _finish_endpoints(builder: SpecBuilder) -> None:
    """Replace ``<net>`` by the network's name and add the further networks."""
    options = builder.body.pop("NetworkingConfig", {}).get("EndpointsConfig", {}).get("<net>", {})
    if "MacAddress" in options:
        builder.body["MacAddress"] = options["MacAddress"]  # read by engines before API 1.44
    if options or builder.more_networks:
        endpoints = {builder.network: options, **builder.more_networks}
        builder.body["NetworkingConfig"] = {"EndpointsConfig": endpoints}


def _asks_for_public_address(builder: SpecBuilder) -> bool:
    wants_all = builder.get("HostConfig.PublishAllPorts")
    return bool(wants_all) or labels.asks_for_public_network(builder)


def _publish_exposed(builder: SpecBuilder) -> None:
    """Publish the exposed ports of the task: Triton itself only publishes those of the image."""
    for port in builder.body.get("ExposedPorts", {}):
        if not builder.get(f"HostConfig.PortBindings.{port}"):
            builder.append(f"HostConfig.PortBindings.{port}", {"HostIp": "", "HostPort": ""})


def _nul_paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of strings with a NUL. The engine's own error would name no field."""
    if isinstance(value, str) and "\0" in value:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _nul_paths(key, f"{path} (a key)".strip())
            yield from _nul_paths(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _nul_paths(item, f"{path}[{i}]")
