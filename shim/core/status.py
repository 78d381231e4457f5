"""Status updates as a Mesos agent makes them: state, source, reason, message, attached data.

Source: Mesos' docker executor and agent. ``tests/core/test_status.py`` lists every case.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shim.model.facts import Failure
from shim.model.ids import AgentId, Pid, TaskKey
from shim.protos.mesos_pb2 import (
    CheckStatusInfo,
    ContainerInfo,
    ContainerStatus,
    NetworkInfo,
    Resource,
    TaskInfo,
    TaskState,
    TaskStatus,
    Value,
)
from shim.protos.messages_pb2 import StatusUpdateMessage

_SIGNALS = {
    1: "Hangup",
    2: "Interrupt",
    3: "Quit",
    4: "Illegal instruction",
    6: "Aborted",
    7: "Bus error",
    8: "Floating point exception",
    9: "Killed",
    11: "Segmentation fault",
    13: "Broken pipe",
    14: "Alarm clock",
    15: "Terminated",
}
"""As strsignal(3) names those that end a program."""

Reason = TaskStatus.Reason
_EXECUTOR = TaskStatus.SOURCE_EXECUTOR
_AGENT = TaskStatus.SOURCE_SLAVE


@dataclass(frozen=True, slots=True)
class Report:
    """The content of a status update; :func:`message` adds ids, time and uuid."""

    state: TaskState.ValueType
    source: TaskStatus.Source.ValueType = _EXECUTOR
    reason: Reason.ValueType | None = None
    message: str = ""
    data: bytes = b""
    healthy: bool | None = None
    check_status: bytes | None = None
    exhausted: tuple[Resource, ...] = ()
    """The resources whose limit ended the task."""
    launched: bool = True
    """There is or was a container: the update has a ``container_status``."""


def starting() -> Report:
    return Report(TaskState.TASK_STARTING)


def running(inspect: bytes, check: CheckStatusInfo | None) -> Report:
    status = check.SerializeToString() if check is not None else None
    return Report(TaskState.TASK_RUNNING, data=inspect, check_status=status)


def killing(reason: Reason.ValueType | None = None) -> Report:
    return Report(TaskState.TASK_KILLING, reason=reason)


def exited(
    info: TaskInfo,
    exit_code: int | None,
    *,
    oom_killed: bool,
    error: str,
) -> Report:
    """The task ended by itself. Only a known exit code 0 is a success."""
    message = exit_text(exit_code, error)
    if oom_killed and exit_code != 0:
        return _out_of_memory(info, message)
    state = TaskState.TASK_FINISHED if exit_code == 0 else TaskState.TASK_FAILED
    return Report(state, message=message)


def _out_of_memory(info: TaskInfo, message: str) -> Report:
    asked = [r for r in info.resources if r.name == "mem"]
    limit = sum(r.scalar.value for r in asked)
    if "mem" in info.limits:
        limit = info.limits["mem"].value
    if math.isinf(limit):
        # JSON has no infinity: report the requested memory instead of the limit.
        exhausted, text = asked, "the container has none, the engine's host ran out"
    else:
        memory = Resource(name="mem", type=Value.SCALAR, scalar=Value.Scalar(value=limit))
        exhausted, text = [memory], f"the container's limit is {limit:g}MB"
    return Report(
        TaskState.TASK_FAILED,
        _AGENT,
        Reason.REASON_CONTAINER_LIMITATION_MEMORY,
        f"Memory limit exceeded: {text}. {message}",
        exhausted=tuple(exhausted),
    )


def exit_text(exit_code: int | None, error: str) -> str:
    text = (
        "Failed to get exit status of container"
        if exit_code is None
        else f"Container exited with status {exit_code}"
    )
    return f"{text}: {error}" if error else text


def exit_code_in(status: TaskStatus) -> int | None:
    """The exit code of the container of an ended task, if its last status has it."""
    if status.state == TaskState.TASK_FINISHED:
        return 0
    found = re.search(r"Container exited with status (\d+)", status.message)
    return int(found[1]) if found else None


def expired(message: str) -> Report:
    return Report(
        TaskState.TASK_FAILED, _EXECUTOR, Reason.REASON_MAX_COMPLETION_TIME_REACHED, message
    )


def killed(message: str, healthy: bool | None = None) -> Report:
    return Report(TaskState.TASK_KILLED, message=message, healthy=healthy)


def killed_during_launch(message: str) -> Report:
    reason = Reason.REASON_TASK_KILLED_DURING_LAUNCH
    return Report(TaskState.TASK_KILLED, _AGENT, reason, message, launched=False)


# --- tasks of task groups, as Mesos' default executor reports them -----------------------------


def killed_in_queue() -> Report:
    """For each task of a group one of which was killed while the group was queued."""
    return killed_during_launch(
        "A task within the task group was killed before delivery to the executor"
    )


def command_ended(info: TaskInfo, exit_code: int | None, *, oom_killed: bool, error: str) -> Report:
    """A group's task ended by itself. Only a known exit code 0 is a success."""
    message = command_text(exit_code, error)
    if oom_killed and exit_code != 0:
        limited = _out_of_memory(info, message)
        return replace(limited, source=_EXECUTOR)
    state = TaskState.TASK_FINISHED if exit_code == 0 else TaskState.TASK_FAILED
    return Report(state, message=message)


def command_text(exit_code: int | None, error: str) -> str:
    """An exit code above 128 is Docker's form of a signal: 128 plus its number."""
    if exit_code is None:
        text = "Command terminated with unknown status"
    elif (name := _SIGNALS.get(exit_code - 128)) is not None:
        text = f"Command terminated with signal {name}"
    else:
        text = f"Command exited with status {exit_code}"
    return f"{text}: {error}" if error else text


def command_not_launched(message: str) -> Report:
    reason = Reason.REASON_CONTAINER_LAUNCH_FAILED
    return Report(TaskState.TASK_FAILED, _EXECUTOR, reason, message, launched=False)


INFRA_GONE = "its infra container, and with it the network of its tasks, is gone"


def executor_terminated(why: str = "") -> Report:
    """The executor ended before the task did."""
    return Report(
        TaskState.TASK_FAILED,
        _AGENT,
        Reason.REASON_EXECUTOR_TERMINATED,
        f"Executor terminated: {why}" if why else "Executor terminated",
    )


def drained(kill: Report, *, gone: bool) -> Report:
    """The report of a kill that a drain caused; ``gone``: the agent is marked gone."""
    state = kill.state
    if gone and state == TaskState.TASK_KILLED:
        state = TaskState.TASK_GONE_BY_OPERATOR
    return replace(kill, state=state, reason=Reason.REASON_SLAVE_DRAINING)


def vanished(name: str) -> Report:
    return Report(
        TaskState.TASK_FAILED,
        _AGENT,
        Reason.REASON_EXECUTOR_TERMINATED,
        f"Container {name} was removed from the Docker endpoint by somebody else",
    )


def launch_failed(failure: Failure, message: str) -> Report:
    if failure is Failure.INVALID:
        text = f"Failed to create docker run options: {message}"
        return Report(TaskState.TASK_FAILED, _EXECUTOR, None, text)
    reason = (
        Reason.REASON_EXECUTOR_REGISTRATION_TIMEOUT
        if failure is Failure.TIMEOUT
        else Reason.REASON_CONTAINER_LAUNCH_FAILED
    )
    text = f"Failed to launch container: {message}"
    return Report(TaskState.TASK_FAILED, _AGENT, reason, text, launched=False)


def rejected(state: TaskState.ValueType, reason: Reason.ValueType, message: str) -> Report:
    """The agent's own report about a task that it did not accept."""
    return Report(state, _AGENT, reason, message)


def empty_check(info: TaskInfo) -> CheckStatusInfo | None:
    """The check status that TASK_RUNNING carries before the first result of ``task.check``."""
    if not info.HasField("check"):
        return None
    status = CheckStatusInfo(type=info.check.type)
    for name in ("command", "http", "tcp"):
        if info.check.HasField(name):
            getattr(status, name).SetInParent()
    return status


def container_status(
    container_id: str, container: ContainerInfo, addresses: Sequence[str], parent: str | None = None
) -> ContainerStatus:
    """``container_status`` with the first NetworkInfo and the container's addresses.

    ``container`` is the one that owns the network: the task's, or that of a group's executor.
    ``parent`` is the container id of that executor.
    """
    status = ContainerStatus()
    status.container_id.value = container_id
    if parent is not None:
        status.container_id.parent.value = parent
    if addresses:
        network = status.network_infos.add()
        if container.network_infos:
            network.CopyFrom(container.network_infos[0])
            del network.ip_addresses[:]
        for address in addresses:
            entry = network.ip_addresses.add(ip_address=address)
            if ":" in address:
                entry.protocol = NetworkInfo.IPv6
    return status


def message(
    report: Report,
    key: TaskKey,
    *,
    executor_id: str,
    agent_id: AgentId,
    pid: Pid,
    uuid: bytes,
    timestamp: float,
    container: ContainerStatus | None,
) -> StatusUpdateMessage:
    """The message, which is stored once and sent unchanged until it is acknowledged."""
    result = StatusUpdateMessage(pid=str(pid))
    update = result.update
    update.framework_id.value = key.framework_id
    update.executor_id.value = executor_id
    update.slave_id.value = agent_id
    update.timestamp = timestamp
    update.uuid = uuid
    update.latest_state = report.state
    status = update.status
    status.task_id.value = key.task_id
    status.state = report.state
    status.slave_id.value = agent_id
    status.executor_id.value = executor_id
    status.timestamp = timestamp
    status.uuid = uuid
    status.source = report.source
    if report.reason is not None:
        status.reason = report.reason
    if report.message:
        status.message = report.message
    if report.data:
        status.data = report.data
    if report.healthy is not None:
        status.healthy = report.healthy
    if report.check_status is not None:
        status.check_status.ParseFromString(report.check_status)
    if report.exhausted:
        status.limitation.resources.extend(report.exhausted)
    if container is not None:
        status.container_status.CopyFrom(container)
    return result
