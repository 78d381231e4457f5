"""What the tasks of a custom executor get from the agent: states, reasons and messages. Pure.

Source: Mesos' ``slave/slave.cpp``. Texts that are Mesos' own are tested for by schedulers.
"""

from __future__ import annotations

from shim.core import status
from shim.core.custom_executor import CustomExecutor
from shim.core.frameworks import Framework
from shim.core.status import Reason, Report
from shim.model.facts import ContainerExited, ContainerVanished, LaunchFailed
from shim.protos.mesos_pb2 import TaskState, TaskStatus

_AGENT = TaskStatus.SOURCE_SLAVE
_UNITS = ((604800, "weeks"), (86400, "days"), (3600, "hrs"), (60, "mins"), (1, "secs"))


def killed_while_queued(*, grouped: bool) -> Report:
    """The task, or one of its group, was killed before the executor had it."""
    text = (
        "A task within the task group was killed before delivery to the executor"
        if grouped
        else "Killed before delivery to the executor"
    )
    return status.killed_during_launch(text)


def never_arrived(framework: Framework) -> Report:
    """The task was handed over, and the executor does not know it."""
    state = framework.state_or_lost(TaskState.TASK_DROPPED)
    text = "Task launched during agent restart"
    return Report(state, _AGENT, Reason.REASON_SLAVE_RESTARTED, text)


def no_groups() -> Report:
    text = "The executor speaks the v0 protocol, which has no task groups: it has to use the v1 API"
    return Report(TaskState.TASK_FAILED, _AGENT, Reason.REASON_TASK_GROUP_INVALID, text)


def not_registered(timeout: float, why: str) -> TaskStatus:
    """The executor ran and never registered; ``why`` is what was found out about it."""
    text = f"Executor did not register within {duration_text(timeout)}"
    return _ended_by(
        TaskState.TASK_FAILED,
        Reason.REASON_EXECUTOR_REGISTRATION_TIMEOUT,
        f"{text}: {why}" if why else text,
    )


def not_back(framework: Framework, timeout: float) -> TaskStatus:
    """The executor did not come back after a restart of the agent."""
    return _ended_by(
        framework.state_or_lost(TaskState.TASK_GONE),
        Reason.REASON_EXECUTOR_REREGISTRATION_TIMEOUT,
        f"Executor did not reregister within {duration_text(timeout)}",
    )


def not_resized(framework: Framework, error: str) -> TaskStatus:
    """The container cannot be given what its tasks need."""
    return _ended_by(
        framework.state_or_lost(TaskState.TASK_GONE),
        Reason.REASON_CONTAINER_UPDATE_FAILED,
        f"Failed to update resources for container: {error}",
    )


def launch_interrupted(framework: Framework) -> TaskStatus:
    """The agent restarted while the create of the executor's container was under way."""
    return _ended_by(
        framework.state_or_lost(TaskState.TASK_DROPPED),
        Reason.REASON_SLAVE_RESTARTED,
        "Task launched during agent restart",
    )


def report(executor: CustomExecutor, detail: object) -> Report:
    """For each task that the ended executor leaves behind. ``detail`` is the fact of its end."""
    ended_by = executor.ended_by
    if ended_by is not None:
        return Report(ended_by.state, _AGENT, ended_by.reason, ended_by.message)
    if isinstance(detail, LaunchFailed):
        failed = status.launch_failed(detail.failure, detail.message)
        reason = failed.reason or Reason.REASON_CONTAINER_LAUNCH_FAILED
        return Report(TaskState.TASK_FAILED, _AGENT, reason, failed.message, launched=False)
    text, reason = "Executor terminated", Reason.REASON_EXECUTOR_TERMINATED
    if isinstance(detail, ContainerExited):
        exit_text = status.exit_text(detail.exit_code, detail.error)
        if detail.oom_killed and detail.exit_code != 0:
            reason = Reason.REASON_CONTAINER_LIMITATION_MEMORY
            text = f"Memory limit exceeded: the container had {executor.size}"
        text = f"{text}; {exit_text}"
    elif isinstance(detail, ContainerVanished):
        text += f"; container {executor.ref.name} was removed by somebody else"
    return Report(TaskState.TASK_FAILED, _AGENT, reason, text)


def wait_status(detail: object) -> int:
    """As wait(2) gives it; -1 when unknown. Docker gives a signal as 128 plus its number."""
    if not isinstance(detail, ContainerExited) or detail.exit_code is None:
        return -1
    code = detail.exit_code & 0xFF
    return code - 128 if code > 128 else code << 8


def duration_text(seconds: float) -> str:
    """As Mesos writes a duration: ``1mins``, ``1.5mins``, ``500ms``."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.12g}{unit}"
    return f"{seconds * 1000:.12g}ms"


def _ended_by(state: TaskState.ValueType, reason: Reason.ValueType, message: str) -> TaskStatus:
    ended_by = TaskStatus(state=state, reason=reason, message=message)
    ended_by.task_id.value = ""  # required, and of no meaning here
    return ended_by
