"""One task in ``/state``: inside the command executor that a stock agent creates for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shim.core.custom_executor import CustomExecutor
from shim.core.executors import Executor
from shim.core.task import Task as CoreTask
from shim.core.view import AgentView
from shim.http.amounts import Amount
from shim.http.protojson import Json, to_json
from shim.model.container import Ref
from shim.model.ids import TaskKey
from shim.model.protojson import number
from shim.protos.mesos_pb2 import CommandInfo, Resource, Task, TaskInfo, TaskState, TaskStatus

_COMMAND_SHOWN = 15
"""Characters of a command. A longer command is cut to three characters less, and gets dots."""


def executor_name(info: TaskInfo) -> str:
    """``Command Executor (Task: ID) (Command: ...)``: tools parse ids and commands out of it."""
    return f"Command Executor (Task: {info.task_id.value}) (Command: {_command_text(info.command)})"


def _command_text(command: CommandInfo) -> str:
    if command.shell:
        return f"sh -c '{_cut(command.value)}'" if command.HasField("value") else "NO COMMAND"
    if not command.HasField("value"):
        return "NO EXECUTABLE"
    # A stock agent also prints the separator after a value without arguments.
    arguments = list(command.arguments) or [""]
    return f"[{_cut(', '.join([command.value, *arguments]))}]"


def _cut(text: str) -> str:
    return text if len(text) <= _COMMAND_SHOWN else f"{text[: _COMMAND_SHOWN - 3]}..."


def executor_path(work_dir: str, agent_id: str, ref: Ref) -> str:
    """``directory`` of an executor. The path is virtual: only ``/files`` resolves it.

    ``ref`` is that of a command task or of an executor. ``tasks/TASK_ID`` below the directory of a
    default executor is the sandbox of a task of its groups.
    """
    key = ref.key
    executor_id = key.task_id if isinstance(key, TaskKey) else key.executor_id
    return (
        f"{work_dir}/slaves/{agent_id}/frameworks/{key.framework_id}"
        f"/executors/{executor_id}/runs/{ref.container_id}"
    )


AnyExecutor = Executor | CustomExecutor


def known_executors(agent: AgentView) -> Iterator[AnyExecutor]:
    """Those that frameworks brought, also ended ones whose last update is unacknowledged.

    The agent may change meanwhile.
    """
    yield from list(agent.custom_executors.values())
    for key in list(agent.executors):
        if (executor := agent.executors.get(key)) is not None:
            yield executor


def executor_of(task: CoreTask, agent: AgentView) -> AnyExecutor | None:
    """The executor that the framework brought for the task; None for a command task."""
    if task.group is not None:
        return task.group.executor
    return None if task.executor_key is None else agent.custom_executors.get(task.executor_key)


def sandbox_path(work_dir: str, agent_id: str, ref: Ref, executor: AnyExecutor | None) -> str:
    """The sandbox of a task: of a command task, or of a task of ``executor``.

    The tasks of a custom executor share the sandbox of its container.
    """
    if executor is None:
        return executor_path(work_dir, agent_id, ref)
    if isinstance(executor, CustomExecutor):
        return executor_path(work_dir, agent_id, executor.ref)
    return f"{executor_path(work_dir, agent_id, executor.ref)}/tasks/{ref.task_key.task_id}"


def executor_json(
    ref: Ref, info: TaskInfo, wire: Task, work_dir: str, *, ended: bool, stage: str = ""
) -> Json:
    """An executor with its one task. The executor of an ended task has no resources.

    ``stage`` says what a launch under way is doing, or what it waits for; empty otherwise.
    """
    queued = wire.state == TaskState.TASK_STAGING and not ended
    body: Json = {
        "id": ref.task_key.task_id,
        "name": executor_name(info),
        "source": ref.task_key.task_id,
        "container": ref.container_id,
        "directory": executor_path(work_dir, wire.slave_id.value, ref),
        "resources": Amount(() if ended else wire.resources).json(),
        "role": allocation_role(wire.resources),
    }
    if wire.labels.labels:
        body["labels"] = [to_json(label) for label in wire.labels.labels]
    task = task_json(info, wire, ended=ended, stage=stage)
    body["tasks"] = [] if ended or queued else [task]
    body["queued_tasks"] = [task] if queued else []
    body["completed_tasks"] = [task] if ended else []
    return body


def task_json(info: TaskInfo, wire: Task, *, ended: bool, stage: str = "") -> Json:
    """A task by itself, in the form of the list that it belongs to."""
    if ended:
        return _task(wire)
    if wire.state == TaskState.TASK_STAGING:
        return _queued(info, wire, stage)
    return _task(wire, stage if wire.state == TaskState.TASK_STARTING else "")


def allocation_role(resources: Sequence[Resource]) -> str:
    """The role that the resources are allocated to."""
    return resources[0].allocation_info.role or "*" if resources else "*"


def _task(wire: Task, stage: str = "") -> Json:
    body: Json = {
        "id": wire.task_id.value,
        "name": wire.name,
        "framework_id": wire.framework_id.value,
        "executor_id": wire.executor_id.value,
        "slave_id": wire.slave_id.value,
        "state": TaskState.Name(wire.state),
        "resources": Amount(wire.resources).json(),
        "role": allocation_role(wire.resources),
        "statuses": [_status(status) for status in wire.statuses],
    }
    if wire.limits:
        body["limits"] = {name: number(wire.limits[name].value) for name in wire.limits}
    if wire.HasField("user"):
        body["user"] = wire.user
    if stage:
        body["stage"] = stage
    if wire.labels.labels:
        body["labels"] = [to_json(label) for label in wire.labels.labels]
    for name in ("discovery", "container", "health_check"):
        if wire.HasField(name):
            body[name] = to_json(getattr(wire, name))
    return body


def _status(status: TaskStatus) -> Json:
    body: Json = {"state": TaskState.Name(status.state), "timestamp": status.timestamp}
    if status.labels.labels:
        body["labels"] = [to_json(label) for label in status.labels.labels]
    if status.HasField("container_status"):
        body["container_status"] = to_json(status.container_status)
        for network in body["container_status"].get("network_infos", ()):
            if "labels" in network:
                network["labels"] = network["labels"].get("labels", [])
    if status.HasField("healthy"):
        body["healthy"] = status.healthy
    return body


def _queued(info: TaskInfo, wire: Task, stage: str) -> Json:
    body: Json = {
        "id": wire.task_id.value,
        "name": wire.name,
        "slave_id": wire.slave_id.value,
        "resources": Amount(wire.resources).json(),
        "role": allocation_role(wire.resources),
    }
    if wire.HasField("executor_id"):
        body["executor_id"] = wire.executor_id.value
    if info.HasField("command"):
        body["command"] = _command(info.command)
    if info.HasField("discovery"):
        body["discovery"] = to_json(info.discovery)
    if stage:
        body["stage"] = stage
    return body


def _command(command: CommandInfo) -> Json:
    full = to_json(command)
    body: Json = {"shell": command.shell, "argv": list(command.arguments)}
    for name in ("value", "environment"):
        if name in full:
            body[name] = full[name]
    uris = full.get("uris", ())
    body["uris"] = [{"value": u["value"], "executable": u.get("executable", False)} for u in uris]
    return body
