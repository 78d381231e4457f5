"""``command``: what runs in the container, and with which environment."""

from __future__ import annotations

from shim.engine.mapping.spec_builder import (
    AFFINITY,
    Field,
    SpecBuilder,
    Triton,
    invalid,
    no_nul,
    plain,
)
from shim.protos.mesos_pb2 import Environment, Secret

FIELDS = (
    Field(
        "command.shell, command.value",
        "Entrypoint, Cmd",
        "`/bin/sh -c VALUE`; shell is the default",
    ),
    Field(
        "command.value, command.arguments",
        "Cmd",
        "without shell: `VALUE ARG...` after the image's own entrypoint; `arguments[0]` is a real"
        " argument. For a `MESOS` container VALUE replaces the entrypoint and `arguments[0]` is"
        " its argv[0]",
    ),
    Field("command.environment.variables", "Env", "sorted by name; the last of a name counts"),
    Field(
        "command.environment.variables.secret",
        "Env",
        "`VALUE` is resolved; `REFERENCE` is refused, there is no secret store",
    ),
    Field(
        "(agent)",
        "Env",
        "`MESOS_SANDBOX`, `MESOS_CONTAINER_NAME` and `MESOS_ALLOCATION_ROLE` overwrite the task's",
    ),
    Field(
        "command.user",
        "-",
        "not given to the container, as by a stock agent: the image's USER runs it (parameter"
        " `user` changes it); a `MESOS` container's is a warning",
        Triton.YES,
        "not used",
    ),
    Field(
        "command.uris", "PUT .../archive", "fetched by the agent and put into the sandbox directory"
    ),
)


def map_command(draft: SpecBuilder) -> None:
    """Entrypoint and Cmd. What is left unset is the image's own."""
    command = draft.task.command
    value = no_nul("command.value", command.value)
    arguments = [
        no_nul(f"command.arguments[{i}]", argument) for i, argument in enumerate(command.arguments)
    ]
    if command.shell:
        if not command.HasField("value"):
            invalid("Shell specified but no command value provided", "command.value")
        draft.body.update(Entrypoint=["/bin/sh"], Cmd=["-c", value])
    elif command.HasField("value") and not draft.is_docker:
        draft.body.update(Entrypoint=[value], Cmd=arguments[1:])
    elif command.HasField("value"):
        draft.body["Cmd"] = [value, *arguments]
    elif arguments:
        draft.body["Cmd"] = arguments
    if command.HasField("user") and not draft.is_docker:
        draft.warn(f"command.user {command.user!r}: not used, the image's USER runs the task")


def map_environment(draft: SpecBuilder, container_name: str) -> None:
    """The task's variables, then the agent's three, which win."""
    variables = {}
    for i, variable in enumerate(draft.task.command.environment.variables):
        name = _name(variable.name, f"command.environment.variables[{i}].name")
        if name.startswith(AFFINITY):
            draft.set_env(name, _value(variable))
        else:
            variables[name] = _value(variable)
    variables["MESOS_SANDBOX"] = draft.rules.sandbox_directory
    variables["MESOS_CONTAINER_NAME"] = container_name
    variables["MESOS_ALLOCATION_ROLE"] = _role(draft)
    for name in sorted(variables):
        draft.set_env(name, variables[name])


def _name(name: str, field: str) -> str:
    if not name or "=" in name or "\0" in name:
        invalid("An environment variable's name must not be empty nor hold '=' or NUL", field, name)
    return name


def _value(variable: Environment.Variable) -> str:
    field = f"command.environment.variables[{plain(variable.name)}]"
    if variable.type == Environment.Variable.SECRET:
        return no_nul(f"{field}.secret", _secret(variable.secret, f"{field}.secret"))
    if variable.type != Environment.Variable.VALUE:
        invalid("Unknown type of environment variable", f"{field}.type", variable.type)
    return no_nul(f"{field}.value", variable.value)


def _secret(secret: Secret, field: str) -> str:
    """The secret's text. It is in no message, whatever is wrong with it."""
    if secret.type == Secret.REFERENCE:
        invalid(
            "There is no secret store to look it up in", f"{field}.reference", secret.reference.name
        )
    if secret.type != Secret.VALUE or not secret.HasField("value"):
        invalid("Secret without a value", field)
    try:
        return secret.value.data.decode()
    except UnicodeDecodeError:
        invalid("Secret is not UTF-8 text", f"{field}.value.data")


def _role(draft: SpecBuilder) -> str:
    """The role of the first resource: of its allocation, or (from masters before 1.3) its own."""
    for resource in draft.task.resources:
        return (
            resource.allocation_info.role if resource.HasField("allocation_info") else resource.role
        )
    return ""
