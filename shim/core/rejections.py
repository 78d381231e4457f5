"""What is said of tasks that do not run here, and why: pure."""

from __future__ import annotations

from collections.abc import Iterable

from shim.core import reservations
from shim.core.frameworks import Framework
from shim.core.status import Reason, Report, refused
from shim.protos.mesos_pb2 import Resource, TaskInfo, TaskState


def unfit(framework: Framework, info: TaskInfo, known: Iterable[Resource]) -> Report | None:
    """Why this agent cannot run the task; ``known`` are its reservations and volumes."""
    if info.HasField("executor"):
        return refused(
            TaskState.TASK_FAILED,
            Reason.REASON_TASK_INVALID,
            f"TaskInfo.executor {info.executor.executor_id.value!r}: this agent runs command "
            "tasks in Docker containers; it has no host for executors",
        )
    missing = reservations.unknown(info.resources, known)
    if missing:
        names = ", ".join(f"{r.name} of role {r.role}" for r in missing)
        text = f"The task uses reservations or volumes unknown to the agent: {names}"
        return _dropped(framework, Reason.REASON_RESOURCES_UNKNOWN, text)
    return None


def grouped() -> Report:
    """Of a task in a group."""
    text = (
        "TaskInfo in a task group: this agent has no host to run a group's executor on; "
        "launch its tasks one by one"
    )
    return refused(TaskState.TASK_FAILED, Reason.REASON_TASK_GROUP_INVALID, text)


def unavailable(framework: Framework, doing: str) -> Report:
    """No launches are taken because the agent is ``doing`` something else."""
    text = f"Task was received while agent was {doing}"
    return _dropped(framework, Reason.REASON_SLAVE_DRAINING, text)


def never_came(framework: Framework) -> Report:
    """The master has the task and we do not."""
    text = "Reconciliation: task unknown to the agent"
    return _dropped(framework, Reason.REASON_RECONCILIATION, text)


def not_here(framework: Framework) -> Report:
    """There is nothing to be killed."""
    return _dropped(framework, Reason.REASON_EXECUTOR_TERMINATED, "Cannot find executor")


def undone(framework: Framework) -> Report:
    """We were restarted in the middle of the launch."""
    return _dropped(framework, Reason.REASON_SLAVE_RESTARTED, "Task launched during agent restart")


def _dropped(framework: Framework, reason: Reason.ValueType, message: str) -> Report:
    return refused(framework.lost(TaskState.TASK_DROPPED), reason, message)
