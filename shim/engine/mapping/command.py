"""``command``: the program of the container, its arguments and its environment.

For a ``MESOS`` container the command follows the docker/runtime isolator of Mesos. ``value`` and
``arguments`` are those of the command, ``Entrypoint`` and ``Cmd`` those of the image::

    shell  value  arguments   what runs
    true   unset  any         error: Shell specified but no command value provided
    true   set    any         /bin/sh -c value
    false  set    none        value
    false  set    a0 a1       value a1 (a0 is the program's argv[0])
    false  unset  none        Entrypoint Cmd; error when the image has neither
    false  unset  a0 a1       Entrypoint a0 a1; Cmd[0] a0 a1 without an Entrypoint; else error

A ``DOCKER`` container differs where ``shell`` is false: the command is ``value a0 a1`` or ``a0 a1``
in place of the image's Cmd, and follows its Entrypoint, as in ``docker run IMAGE COMMAND ARG...``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from shim.engine.api import ContainerSpec
from shim.engine.mapping.spec_builder import (
    AFFINITY,
    FieldRow,
    SpecBuilder,
    TritonSupport,
    printable,
    reject,
    without_nul,
)
from shim.protos.mesos_pb2 import Environment, Secret

FIELDS = (
    FieldRow(
        "command.shell, command.value",
        "Entrypoint, Cmd",
        "`/bin/sh -c VALUE`; shell is the default",
    ),
    FieldRow(
        "command.value, command.arguments",
        "Cmd",
        "without shell: `VALUE ARG...` after the image's own entrypoint; `arguments[0]` is a real"
        " argument. For a `MESOS` container VALUE replaces the entrypoint and `arguments[0]` is"
        " its argv[0]; arguments without a VALUE follow the image's entrypoint, or the first word"
        " of its command where it has none",
    ),
    FieldRow(
        "(agent)",
        "WorkingDir",
        "of a `MESOS` container the image's WORKDIR, else the sandbox; the sandbox where the image"
        " is that of `--default_container_info`. Of a `DOCKER` container the image's, else `/`"
        " (parameter `workdir` changes it)",
    ),
    FieldRow("command.environment.variables", "Env", "sorted by name; the last of a name counts"),
    FieldRow(
        "command.environment.variables.secret",
        "Env",
        "`VALUE` is resolved; `REFERENCE` is refused",
    ),
    FieldRow(
        "(agent)",
        "Env",
        "`MESOS_SANDBOX`, `MESOS_CONTAINER_NAME` and `MESOS_ALLOCATION_ROLE` overwrite the task's",
    ),
    FieldRow(
        "command.user",
        "-",
        "not given to the container, as by a stock agent: the image's USER runs it (parameter"
        " `user` changes it); a `MESOS` container's is a warning",
        TritonSupport.YES,
        "not used",
    ),
    FieldRow(
        "command.uris", "PUT .../archive", "fetched by the agent and put into the sandbox directory"
    ),
)


def map_command(builder: SpecBuilder) -> None:
    """Set Entrypoint and Cmd. The image's own values apply where they stay unset."""
    command = builder.task.command
    value = without_nul("command.value", command.value)
    arguments = [
        without_nul(f"command.arguments[{i}]", argument)
        for i, argument in enumerate(command.arguments)
    ]
    if command.shell:
        if not command.HasField("value"):
            reject("Shell specified but no command value provided", "command.value")
        builder.body.update(Entrypoint=["/bin/sh"], Cmd=["-c", value])
    elif command.HasField("value") and not builder.is_docker:
        builder.body.update(Entrypoint=[value], Cmd=arguments[1:])
    elif command.HasField("value"):
        builder.body["Cmd"] = [value, *arguments]
    elif arguments:
        builder.body["Cmd"] = arguments
        builder.completes_image_command = not builder.is_docker
    if command.HasField("user") and not builder.is_docker:
        builder.warn(f"command.user {command.user!r}: not used, the image's USER runs the task")


def map_workdir(builder: SpecBuilder, *, on_host: bool) -> None:
    """Set where the command begins: see ``FIELDS``.

    ``on_host``: a stock agent would run it on its host. Source: Mesos' ``docker/runtime`` isolator
    and its containerizer. A parameter ``workdir`` was applied before.
    """
    sandbox = builder.settings.sandbox_directory
    if on_host:
        builder.body.setdefault("WorkingDir", sandbox)
    elif not builder.is_docker:
        builder.default_workdir = sandbox


def complete_command(spec: ContainerSpec, image_config: Mapping[str, Any]) -> ContainerSpec:
    """Return the spec with the image's Cmd[0] before its arguments, where the table says so.

    For a spec with ``completes_image_command``. ``image_config`` is ``Config`` of the image.
    InvalidTask when the image has no program to run.
    """
    if spec.body.get("Entrypoint") or image_config.get("Entrypoint"):
        return spec
    command = image_config.get("Cmd")
    if not command:
        reject("No executable is found in the image and command.value is not set", "command")
    body = {**spec.body, "Cmd": [command[0], *spec.body["Cmd"]]}
    return dataclasses.replace(spec, body=body, completes_image_command=False)


def complete_workdir(spec: ContainerSpec, image_config: Mapping[str, Any]) -> ContainerSpec:
    """Return the spec with its default working directory, unless it or the image has one."""
    if spec.body.get("WorkingDir") or image_config.get("WorkingDir"):
        return spec
    return dataclasses.replace(spec, body={**spec.body, "WorkingDir": spec.default_workdir})


def map_environment(builder: SpecBuilder, container_name: str) -> None:
    """Set the task's variables and the agent's three, which overwrite variables of the task."""
    variables = {}
    for i, variable in enumerate(builder.task.command.environment.variables):
        name = _name(variable.name, f"command.environment.variables[{i}].name")
        if name.startswith(AFFINITY):
            builder.set_env(name, _value(variable))
        else:
            variables[name] = _value(variable)
    variables["MESOS_SANDBOX"] = builder.settings.sandbox_directory
    variables["MESOS_CONTAINER_NAME"] = container_name
    variables["MESOS_ALLOCATION_ROLE"] = _role(builder)
    host = builder.settings.host_address
    if builder.member is not None and host and not builder.settings.triton and not builder.infra:
        variables["MESOS_CONTAINER_IP"] = host
    for name in sorted(variables):
        builder.set_env(name, variables[name])


def _name(name: str, field: str) -> str:
    if not name or "=" in name or "\0" in name:
        reject("An environment variable's name must not be empty nor hold '=' or NUL", field, name)
    return name


def _value(variable: Environment.Variable) -> str:
    field = f"command.environment.variables[{printable(variable.name)}]"
    if variable.type == Environment.Variable.SECRET:
        return without_nul(f"{field}.secret", _secret(variable.secret, f"{field}.secret"))
    if variable.type != Environment.Variable.VALUE:
        reject("Unknown type of environment variable", f"{field}.type", variable.type)
    return without_nul(f"{field}.value", variable.value)


def _secret(secret: Secret, field: str) -> str:
    """Return the secret's text. No error text holds any part of a secret."""
    if secret.type == Secret.REFERENCE:
        reject(
            "Secrets by reference are not supported", f"{field}.reference", secret.reference.name
        )
    if secret.type != Secret.VALUE or not secret.HasField("value"):
        reject("Secret without a value", field)
    try:
        return secret.value.data.decode()
    except UnicodeDecodeError:
        reject("Secret is not UTF-8 text", f"{field}.value.data")


def _role(builder: SpecBuilder) -> str:
    """Return the allocation role of the first resource.

    Masters before Mesos 1.3 send no allocation: there the resource's own role counts.
    """
    for resource in builder.task.resources:
        return (
            resource.allocation_info.role if resource.HasField("allocation_info") else resource.role
        )
    return ""
