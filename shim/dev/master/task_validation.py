"""What a master checks in a TaskInfo before it sends the task to an agent."""

from __future__ import annotations

import math
from collections.abc import Iterable

from google.protobuf.message import Message

from shim.dev.master.master_state import Agent, AgentCapability, MasterFramework
from shim.model.ids import TaskId
from shim.model.resource_sets import InvalidResource, Resources, validate
from shim.model.validation import id_problem
from shim.protos import mesos_pb2 as mesos

Variable = mesos.Environment.Variable


def invalid_task(task: mesos.TaskInfo, framework: MasterFramework, agent: Agent) -> str | None:
    """Why the task becomes TASK_ERROR: the first reason, as in Mesos."""
    return (
        id_problem(task.task_id.value)
        or _duplicate(task, framework)
        or _misplaced(task, agent)
        or _kind(task)
        or _resources(task)
        or _limits(task, agent)
        or _container("Task", task.container if task.HasField("container") else None)
        or _container(
            "Executor", task.executor.container if task.executor.HasField("container") else None
        )
        or _environment(task.command)
        or _environment(task.executor.command)
        or _checks(task)
        or _times(task)
    )


def has(message: Message, name: str) -> bool:
    """HasField for a name that is known only at run time."""
    return bool(message.HasField(name))


def invalid_executor(executor: mesos.ExecutorInfo, framework: MasterFramework) -> str | None:
    """Checks of an executor, of a group or of a task."""
    if reason := id_problem(executor.executor_id.value):
        return reason
    if executor.HasField("framework_id") and executor.framework_id.value != framework.id:
        return f"executor {executor.executor_id.value} names another framework"
    if _nanoseconds(executor, "shutdown_grace_period") < 0:
        return "shutdown_grace_period is negative"
    return _resource_list(executor.resources)


def _duplicate(task: mesos.TaskInfo, framework: MasterFramework) -> str | None:
    task_id = TaskId(task.task_id.value)
    if task_id in framework.tasks or task_id in framework.unreachable_tasks:
        return f"Task has duplicate ID: {task_id}"
    return None


def _misplaced(task: mesos.TaskInfo, agent: Agent) -> str | None:
    if task.slave_id.value != agent.id:
        return f"Task uses agent {task.slave_id.value} while its offer is of agent {agent.id}"
    return None


def _kind(task: mesos.TaskInfo) -> str | None:
    if task.HasField("executor") == task.HasField("command"):
        return "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
    return None


def invalid_launch_executor(executor: mesos.ExecutorInfo) -> str | None:
    """Further checks of a task's executor in LAUNCH, but not in LAUNCH_GROUP."""
    if executor.type == mesos.ExecutorInfo.DEFAULT:
        return "a DEFAULT executor runs task groups only"
    return None if executor.HasField("command") else "the executor has no command"


def _resource_list(resources: Iterable[mesos.Resource]) -> str | None:
    try:
        for resource in resources:
            validate(resource)
            if resource.name == "gpus" and not resource.scalar.value.is_integer():
                return f"gpus: {resource.scalar.value} is not a whole number"
        Resources.of(resources)
    except InvalidResource as error:
        return f"Task uses invalid resources: {error}"
    return None


def _resources(task: mesos.TaskInfo) -> str | None:
    return _resource_list(task.resources) if task.resources else "Task uses no resources"


def _limits(task: mesos.TaskInfo, agent: Agent) -> str | None:
    if not task.limits:
        return None
    if not agent.can(AgentCapability.TASK_RESOURCE_LIMITS):
        return "the agent does not know resource limits"
    requested = Resources.of(task.resources)
    for name, limit in task.limits.items():
        if name not in ("cpus", "mem"):
            return f"a limit of {name} is not possible"
        request = requested.scalar(name)
        if not request:
            return f"a limit of {name} without a request"
        if math.isnan(limit.value) or limit.value < request:
            return f"the limit of {name} ({limit.value}) is below the request ({request})"
    return None


def _container(owner: str, container: mesos.ContainerInfo | None) -> str | None:
    reason = None if container is None else _bad_container(container)
    return f"{owner}'s `ContainerInfo` is invalid: {reason}" if reason else None


def _bad_container(container: mesos.ContainerInfo) -> str | None:
    for volume in container.volumes:
        if reason := _volume(volume):
            return reason
    if container.type != mesos.ContainerInfo.DOCKER:
        return None
    if not container.HasField("docker"):
        return "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"
    if any(p.key == "name" for p in container.docker.parameters):
        return "Parameter in DockerInfo must not be 'name'"
    return None


def _volume(volume: mesos.Volume) -> str | None:
    if sum(volume.HasField(f) for f in ("host_path", "image", "source")) != 1:
        return "a volume needs exactly one of 'host_path', 'image' and 'source'"
    if not volume.HasField("source"):
        return None
    kinds = {
        mesos.Volume.Source.DOCKER_VOLUME: "docker_volume",
        mesos.Volume.Source.HOST_PATH: "host_path",
        mesos.Volume.Source.SANDBOX_PATH: "sandbox_path",
        mesos.Volume.Source.SECRET: "secret",
        mesos.Volume.Source.CSI_VOLUME: "csi_volume",
    }
    wanted = kinds.get(volume.source.type)
    if wanted is None:
        return "'source.type' of a volume is unknown"
    return None if has(volume.source, wanted) else f"'source.{wanted}' of a volume is not set"


def _environment(command: mesos.CommandInfo) -> str | None:
    for variable in command.environment.variables:
        secret = variable.type == Variable.SECRET
        if variable.type == Variable.UNKNOWN:
            return f"environment variable {variable.name!r} has an unknown type"
        if variable.HasField("secret") != secret or variable.HasField("value") == secret:
            wanted = "'secret' only" if secret else "'value' only"
            return f"environment variable {variable.name!r} must set {wanted}"
        if secret and b"\0" in variable.secret.value.data:
            return f"environment variable {variable.name!r} has a secret with a NUL byte"
    return None


_KINDS: dict[int, str] = {
    mesos.CheckInfo.COMMAND: "command",
    mesos.CheckInfo.HTTP: "http",
    mesos.CheckInfo.TCP: "tcp",
}
"""The enum values of HealthCheck.Type and CheckInfo.Type are the same."""
_TIMES = ("delay_seconds", "grace_period_seconds", "interval_seconds", "timeout_seconds")


def _checks(task: mesos.TaskInfo) -> str | None:
    if task.HasField("health_check") and (reason := _check(task.health_check, "health check")):
        return f"Task uses invalid health check: {reason}"
    if task.HasField("check") and (reason := _check(task.check, "check")):
        return f"Task uses invalid check: {reason}"
    return None


def _check(check: mesos.HealthCheck | mesos.CheckInfo, what: str) -> str | None:
    wanted = _KINDS.get(check.type)
    if wanted is None:
        return f"{check.DESCRIPTOR.name} must specify 'type'"
    if not has(check, wanted):
        return f"Expecting '{wanted}' to be set for {wanted.upper()} {what}"
    if isinstance(check, mesos.HealthCheck) and (reason := _health_check(check, wanted)):
        return reason
    if wanted == "http" and check.http.HasField("path") and check.http.path[:1] != "/":
        return f"The path '{check.http.path}' of HTTP {what} must start with '/'"
    # Only a health check has a grace period.
    below = [name for name in _TIMES if getattr(check, name, 0.0) < 0]
    return f"Expecting '{below[0]}' to be non-negative" if below else None


def _health_check(check: mesos.HealthCheck, kind: str) -> str | None:
    """Checks of a HealthCheck that a CheckInfo does not have."""
    if kind == "command" and not check.command.HasField("value"):
        return "the command has no 'value'"
    if kind == "http" and check.http.scheme not in ("", "http", "https"):
        return f"Unsupported HTTP health check scheme: '{check.http.scheme}'"
    return None


def _times(task: mesos.TaskInfo) -> str | None:
    if _nanoseconds(task.kill_policy, "grace_period") < 0:
        return "Task's 'kill_policy.grace_period' must be non-negative"
    if _nanoseconds(task, "max_completion_time") < 0:
        return "Task's 'max_completion_time' must be non-negative"
    return None


def _nanoseconds(holder: mesos.KillPolicy | mesos.TaskInfo | mesos.ExecutorInfo, name: str) -> int:
    duration: mesos.DurationInfo = getattr(holder, name)
    return duration.nanoseconds
