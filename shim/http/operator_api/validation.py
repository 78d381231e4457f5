"""What is wrong with a call, in the words of a stock agent. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shim.protos.agent_pb2 import Call, ProcessIO
from shim.protos.mesos_pb2 import CommandInfo, ContainerID, ContainerInfo, Environment

_ID_BYTES = 242
"""Of one ContainerID: file systems allow names of 255 bytes."""

_NEEDS = (
    Call.GET_METRICS,
    Call.SET_LOGGING_LEVEL,
    Call.LIST_FILES,
    Call.READ_FILE,
    Call.LAUNCH_CONTAINER,
    Call.LAUNCH_NESTED_CONTAINER,
    Call.LAUNCH_NESTED_CONTAINER_SESSION,
    Call.ATTACH_CONTAINER_INPUT,
    Call.ATTACH_CONTAINER_OUTPUT,
    Call.WAIT_CONTAINER,
    Call.KILL_CONTAINER,
    Call.REMOVE_CONTAINER,
    Call.WAIT_NESTED_CONTAINER,
    Call.KILL_NESTED_CONTAINER,
    Call.REMOVE_NESTED_CONTAINER,
    Call.ADD_RESOURCE_PROVIDER_CONFIG,
    Call.UPDATE_RESOURCE_PROVIDER_CONFIG,
    Call.REMOVE_RESOURCE_PROVIDER_CONFIG,
    Call.MARK_RESOURCE_PROVIDER_GONE,
)
"""Calls with a body of their own name that must be there."""

_NESTED = (
    Call.LAUNCH_NESTED_CONTAINER,
    Call.LAUNCH_NESTED_CONTAINER_SESSION,
    Call.WAIT_NESTED_CONTAINER,
    Call.KILL_NESTED_CONTAINER,
    Call.REMOVE_NESTED_CONTAINER,
)
"""Calls about a container that must have a parent."""


_CONFIGS = (Call.ADD_RESOURCE_PROVIDER_CONFIG, Call.UPDATE_RESOURCE_PROVIDER_CONFIG)


def problem_of(call: Call) -> str:
    """Empty for a valid call."""
    if not call.IsInitialized():
        missing = call.FindInitializationErrors()  # type: ignore[attr-defined]
        return f"Not initialized: {', '.join(missing)}"
    if not call.HasField("type"):
        return "Expecting 'type' to be present"
    name = body_name(call)
    if call.type not in _NEEDS:
        return ""
    if not call.HasField(name):  # type: ignore[arg-type]
        return f"Expecting '{name}' to be present"
    if call.type == Call.ATTACH_CONTAINER_INPUT:
        return _input_problem(call.attach_container_input)
    body = getattr(call, name)
    if call.type in _CONFIGS and body.info.HasField("id"):
        return f"Expecting '{name}.info.id' to be unset"
    if "container_id" not in body.DESCRIPTOR.fields_by_name:
        return ""
    if problem := id_problem(body.container_id):
        return f"'{name}.container_id' is invalid: {problem}"
    if call.type in _NESTED and not body.container_id.HasField("parent"):
        return f"Expecting '{name}.container_id.parent' to be present"
    if call.type == Call.LAUNCH_NESTED_CONTAINER_SESSION:
        return _launch_problem(call.launch_nested_container_session)
    return ""


def body_name(call: Call) -> str:
    """The field that holds the body of the call: its type in lower case."""
    return Call.Type.Name(call.type).lower()


def id_problem(container_id: ContainerID) -> str:
    """What is wrong with a ContainerID or its parents."""
    value = container_id.value
    if not value:
        return "ID must not be empty"
    if value in (".", ".."):
        return f"'{value}' is disallowed"
    if any(ord(c) < 0x20 or ord(c) == 0x7F or c in "/\\" for c in value):
        return f"'{value}' contains invalid characters"
    if len(value.encode(errors="replace")) > _ID_BYTES:
        return f"'ContainerID.value' '{value}' exceeds the maximum length ({_ID_BYTES})"
    if "." in value or " " in value:
        return f"'ContainerID.value' '{value}' contains invalid characters"
    if container_id.HasField("parent") and (problem := id_problem(container_id.parent)):
        return f"'ContainerID.parent' is invalid: {problem}"
    return ""


def _launch_problem(launch: Call.LaunchNestedContainerSession) -> str:
    name = "launch_nested_container_session"
    if not launch.HasField("command"):
        return f"Expecting '{name}.command' to be present"
    if problem := _command_problem(launch.command):
        return f"'{name}.command' is invalid: {problem}"
    if launch.HasField("container") and (problem := _container_problem(launch.container)):
        return f"'{name}.container' is invalid: {problem}"
    linux_info = launch.container.linux_info
    if launch.container.HasField("linux_info") and not linux_info.share_cgroups:
        return (
            f"'{name}.container.linux_info' is invalid: 'share_cgroups' cannot be set to 'false' "
            "for nested container sessions"
        )
    return ""


def _container_problem(container: ContainerInfo) -> str:
    if container.type != ContainerInfo.DOCKER:
        return ""
    if not container.HasField("docker"):
        return "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"
    if any(parameter.key == "name" for parameter in container.docker.parameters):
        return "Parameter in DockerInfo must not be 'name'"
    return ""


def _command_problem(command: CommandInfo) -> str:
    texts = [command.value, *command.arguments, command.user]
    if not command.value:
        return "Expecting 'value' to be present"
    for variable in command.environment.variables:
        texts += [variable.name, variable.value]
        if variable.type == Environment.Variable.SECRET:
            return f"Environment variable '{variable.name}' of type 'SECRET' is not supported"
        if not variable.HasField("value"):
            return f"Environment variable '{variable.name}' of type 'VALUE' must have a value set"
        if not variable.name or "=" in variable.name:
            return f"'{variable.name}' is no name of an environment variable"
    if any("\0" in text for text in texts):
        return "it contains a null byte"
    return ""


def _input_problem(attach: Call.AttachContainerInput) -> str:
    name = "attach_container_input"
    if not attach.HasField("type"):
        return f"Expecting '{name}.type' to be present"
    if attach.type == Call.AttachContainerInput.UNKNOWN:
        return f"'{name}.type' is unknown"
    if attach.type == Call.AttachContainerInput.PROCESS_IO:
        return ""
    problem = id_problem(attach.container_id)
    return f"'{name}.container_id' is invalid: {problem}" if problem else ""


def process_io_problem(call: Call) -> str:
    """What is wrong with a record of input after the first; empty for a valid one."""
    if call.type != Call.ATTACH_CONTAINER_INPUT:
        return f"Expecting 'type' to be ATTACH_CONTAINER_INPUT, not {Call.Type.Name(call.type)}"
    attach = call.attach_container_input
    if attach.type != Call.AttachContainerInput.PROCESS_IO:
        kind = Call.AttachContainerInput.Type.Name(attach.type)
        return f"Expecting 'attach_container_input.type' to be 'PROCESS_IO' instead of: '{kind}'"
    if not attach.HasField("process_io"):
        return "Expecting 'attach_container_input.process_io' to be present"
    message = attach.process_io
    if not message.HasField("type"):
        return "Expecting 'process_io.type' to be present"
    return _PROCESS_IO[message.type](message)


def _data_problem(message: ProcessIO) -> str:
    if not message.HasField("data"):
        return "Expecting 'process_io.data' to be present"
    if not message.data.HasField("type"):
        return "Expecting 'process_io.data.type' to be present"
    if message.data.type != ProcessIO.Data.STDIN:
        return "Expecting 'process_io.data.type' to be 'STDIN'"
    if not message.data.HasField("data"):
        return "Expecting 'process_io.data.data' to be present"
    return ""


def _control_problem(message: ProcessIO) -> str:
    if not message.HasField("control"):
        return "Expecting 'process_io.control' to be present"
    control = message.control
    if not control.HasField("type"):
        return "Expecting 'process_io.control.type' to be present"
    if control.type == ProcessIO.Control.UNKNOWN:
        return "'process_io.control.type' is unknown"
    if control.type == ProcessIO.Control.HEARTBEAT:
        present = control.HasField("heartbeat")
        return "" if present else "Expecting 'process_io.control.heartbeat' to be present"
    if not control.HasField("tty_info"):
        return "Expecting 'process_io.control.tty_info' to be present"
    if not control.tty_info.HasField("window_size"):
        return "Expecting 'tty_info.window_size' to be present"
    return ""


def _unknown_problem(message: ProcessIO) -> str:
    return "'process_io.type' is unknown"


_PROCESS_IO: Mapping[ProcessIO.Type.ValueType, Callable[[ProcessIO], str]] = {
    ProcessIO.UNKNOWN: _unknown_problem,
    ProcessIO.DATA: _data_problem,
    ProcessIO.CONTROL: _control_problem,
}
