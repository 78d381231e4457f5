"""Status reports about tasks that this agent does not run, with their reasons. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shim.core import reservations, volumes
from shim.core.frameworks import Framework
from shim.core.status import Reason, Report, rejected
from shim.model.resources import role_of
from shim.protos.mesos_pb2 import ExecutorInfo, Resource, TaskInfo, TaskState


def unsupported(framework: Framework, info: TaskInfo, known: Iterable[Resource]) -> Report | None:
    """Why this agent cannot run the command task; None when it can.

    ``known`` are the agent's dynamic reservations and persistent volumes.
    """
    if problem := volumes.problem(info.resources, framework.info.role):
        return invalid_task(problem)
    return unknown_resources(framework, info.resources, known)


def unusable_volume(
    framework: Framework, executor: ExecutorInfo, tasks: Sequence[TaskInfo]
) -> Report | None:
    """A persistent volume that none of the framework's tasks can use; None when there is none."""
    problem = volumes.problem_of_executor(executor, tasks, framework.info.role)
    return invalid_task(problem) if problem else None


def unknown_resources(
    framework: Framework, resources: Iterable[Resource], known: Iterable[Resource]
) -> Report | None:
    """The reserved resources and volumes of a launch must be known; None when they are."""
    missing = reservations.missing(resources, known)
    if not missing:
        return None
    names = ", ".join(map(_described, missing))
    text = f"The task uses reservations or volumes unknown to the agent: {names}"
    return _dropped(framework, Reason.REASON_RESOURCES_UNKNOWN, text)


def too_large(info: TaskInfo, limit: int | None) -> str:
    """Why the journal does not take the task; empty when it does."""
    if limit is None:
        return ""
    size = len(info.SerializePartialToString())
    if size <= limit:
        return ""
    return (
        f"TaskInfo {info.task_id.value!r} has {size} bytes, and the journal in ZooKeeper "
        f"(--journal) takes {limit}: shorten its data, environment or labels"
    )


def invalid_task(problem: str) -> Report:
    return rejected(TaskState.TASK_FAILED, Reason.REASON_TASK_INVALID, problem)


def invalid_group(problem: str) -> Report:
    """For each task of a task group of which something cannot run here."""
    return rejected(TaskState.TASK_FAILED, Reason.REASON_TASK_GROUP_INVALID, problem)


def executor_terminated(framework: Framework, text: str) -> Report:
    """The executor of the launch is not there, or not the one that the master has in mind."""
    return _dropped(framework, Reason.REASON_EXECUTOR_TERMINATED, text)


def unavailable(framework: Framework, doing: str) -> Report:
    """The agent takes no launches while ``doing`` something else ("leaving")."""
    text = f"Task was received while agent was {doing}"
    return _dropped(framework, Reason.REASON_SLAVE_DRAINING, text)


def unknown_at_reconciliation(framework: Framework) -> Report:
    """The master reconciles a task that the agent does not have."""
    text = "Reconciliation: task unknown to the agent"
    return _dropped(framework, Reason.REASON_RECONCILIATION, text)


def unknown_at_kill(framework: Framework) -> Report:
    """The master kills a task that the agent does not have."""
    return _dropped(framework, Reason.REASON_EXECUTOR_TERMINATED, "Cannot find executor")


def launch_interrupted(framework: Framework) -> Report:
    """The agent restarted while the container's create was under way."""
    return _dropped(framework, Reason.REASON_SLAVE_RESTARTED, "Task launched during agent restart")


def _described(resource: Resource) -> str:
    name = resource.disk.persistence.id
    volume = f" (volume {name!r})" if name else ""
    return f"{resource.name} of role {role_of(resource)}{volume}"


def _dropped(framework: Framework, reason: Reason.ValueType, message: str) -> Report:
    return rejected(framework.state_or_lost(TaskState.TASK_DROPPED), reason, message)
