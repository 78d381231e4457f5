"""The whole mapping: one task in, one create call out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shim.engine.api import ContainerSpec, ImageRef
from shim.engine.images.reference import parse_image
from shim.engine.mapping import command, isolation, labels, network, resources, volumes
from shim.engine.mapping.parameters import apply_parameters
from shim.engine.mapping.rules import Rules
from shim.engine.mapping.spec_builder import NET, Field, SpecBuilder, Triton, invalid
from shim.model.container import Ref
from shim.protos.mesos_pb2 import Image, TaskInfo

FIELDS = (
    Field(
        "container.type",
        "-",
        "`DOCKER`, or `MESOS` with a Docker image; a task without a container cannot run",
    ),
    Field("container.docker.image", "Image", "`:latest` when it has neither tag nor digest"),
    Field("container.docker.force_pull_image", "POST /images/create", "pulled also when present"),
    Field("container.mesos.image.docker.name", "Image", "as container.docker.image"),
    Field("container.mesos.image.cached", "POST /images/create", "false: pulled also when present"),
    Field(
        "container.mesos.image.docker.config, container.mesos.image.docker.credential",
        "X-Registry-Auth",
        "`config` with a secret's value is the Docker config of the pull; `credential`"
        " (deprecated) is a warning",
    ),
    Field("container.mesos.image.appc", "-", "refused", Triton.REFUSED, "refused"),
)


def container_spec(
    ref: Ref, task: TaskInfo, *, agent_id: str, executor_id: str, rules: Rules
) -> ContainerSpec:
    """Everything a create call needs to run the task on an endpoint with these rules.

    InvalidTask names the field and the value that cannot be honoured; what is harmless without
    being honoured is in the spec's warnings. Deterministic, and raises nothing else.
    """
    draft = SpecBuilder(rules, task)
    image = _image(draft)
    _put_defaults(draft)
    command.map_command(draft)
    command.map_environment(draft, ref.name)
    labels.map_labels(draft, ref, agent_id, executor_id)
    resources.map_resources(draft)
    network.map_network(draft)
    volumes.map_volumes(draft)
    isolation.map_isolation(draft)
    apply_parameters(draft)
    _finish(draft, image)
    return ContainerSpec(
        name=ref.name,
        image=image,
        body=draft.body,
        force_pull=draft.force_pull,
        platform=draft.platform,
        warnings=tuple(draft.warnings),
    )


def _image(draft: SpecBuilder) -> ImageRef:
    if not draft.task.HasField("container"):
        invalid("A task without a container needs a host, and there is none", "container", "unset")
    if not draft.is_docker:
        return _mesos_image(draft)
    docker = draft.container.docker
    draft.force_pull = docker.force_pull_image
    if not docker.image:
        invalid("No image", "container.docker.image", "")
    return parse_image(docker.image, "container.docker.image")


def _mesos_image(draft: SpecBuilder) -> ImageRef:
    image = draft.container.mesos.image
    if image.type == Image.APPC and draft.container.mesos.HasField("image"):
        invalid("Only Docker images can be run", "container.mesos.image.type", "APPC")
    if not image.docker.name:
        invalid("No image", "container.mesos.image.docker.name", "")
    if image.docker.HasField("credential"):
        draft.warn("container.mesos.image.docker.credential: not used; docker.config is")
    draft.force_pull = not image.cached
    return parse_image(image.docker.name, "container.mesos.image.docker.name")


def _put_defaults(draft: SpecBuilder) -> None:
    """What the command line always says. Stdin is empty: nobody is there to type."""
    draft.body.update(AttachStdin=False, AttachStdout=True, AttachStderr=True)
    draft.put("HostConfig.RestartPolicy", {"Name": "no"})


def _finish(draft: SpecBuilder, image: ImageRef) -> None:
    """Put in place what could not be decided before the last parameter was read."""
    draft.body["Image"] = image.text
    variables = [f"{name}={value}" for name, value in draft.env.items()]
    draft.body["Env"] = variables + draft.affinities
    draft.body["Labels"] = draft.labels
    draft.put("HostConfig.NetworkMode", draft.network)
    _finish_links(draft)
    _finish_endpoints(draft)
    if draft.rules.triton and _asks_for_public_address(draft):
        _publish_exposed(draft)
    if draft.get("HostConfig.ReadonlyRootfs"):
        draft.merge("Volumes", {draft.rules.sandbox_directory: {}})
    for path in _nul_paths(draft.body):
        invalid("NUL byte", path)


def _finish_links(draft: SpecBuilder) -> None:
    if not draft.links:
        return
    if draft.rules.triton and draft.network not in ("bridge", "default"):
        names = ", ".join(draft.links)
        invalid(
            "Triton links only on its default network", "container.docker.parameters link", names
        )
    draft.put(f"{NET}.Links" if draft.user_network else "HostConfig.Links", draft.links)


def _finish_endpoints(draft: SpecBuilder) -> None:
    """Put the network's name where its options were gathered."""
    options = draft.body.pop("NetworkingConfig", {}).get("EndpointsConfig", {}).get("<net>", {})
    if "MacAddress" in options:
        draft.body["MacAddress"] = options["MacAddress"]  # read by engines before API 1.44
    if options or draft.more_networks:
        endpoints = {draft.network: options, **draft.more_networks}
        draft.body["NetworkingConfig"] = {"EndpointsConfig": endpoints}


def _asks_for_public_address(draft: SpecBuilder) -> bool:
    wants_all = draft.get("HostConfig.PublishAllPorts")
    return bool(wants_all) or labels.asks_for_public_network(draft)


def _publish_exposed(draft: SpecBuilder) -> None:
    """Triton knows what an image exposes, not what a task does: name the task's ports to it."""
    for port in draft.body.get("ExposedPorts", {}):
        if not draft.get(f"HostConfig.PortBindings.{port}"):
            draft.append(f"HostConfig.PortBindings.{port}", {"HostIp": "", "HostPort": ""})


def _nul_paths(value: Any, path: str = "") -> Iterator[str]:
    """Where in the body a NUL stands: the engine's answer to one would name nothing."""
    if isinstance(value, str) and "\0" in value:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _nul_paths(key, f"{path} (a key)".strip())
            yield from _nul_paths(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _nul_paths(item, f"{path}[{i}]")
