"""Tasks and executors in the master's memory, and status updates to frameworks."""

from __future__ import annotations

from typing import TypeAlias

from shim.dev.master.master_state import Agent, MasterFramework, MasterState, TaskEntry
from shim.model.ids import AgentId, ExecutorId, FrameworkId, TaskId
from shim.model.resource_sets import Resources
from shim.model.v1_json import to_json
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

State: TypeAlias = "mesos.TaskState.ValueType"
Reason: TypeAlias = "mesos.TaskStatus.Reason.ValueType"


def new_task(info: mesos.TaskInfo, framework_id: FrameworkId) -> mesos.Task:
    """The ``mesos.Task`` of a TaskInfo that is about to be launched."""
    task = mesos.Task(name=info.name, state=mesos.TASK_STAGING)
    task.task_id.CopyFrom(info.task_id)
    task.framework_id.value = framework_id
    task.slave_id.CopyFrom(info.slave_id)
    task.resources.extend(info.resources)
    if info.HasField("executor"):
        task.executor_id.CopyFrom(info.executor.executor_id)
    for name in ("labels", "discovery", "container", "health_check", "kill_policy"):
        if info.HasField(name):
            getattr(task, name).CopyFrom(getattr(info, name))
    for key, value in info.limits.items():
        task.limits[key].CopyFrom(value)
    if user := info.command.user or info.executor.command.user:
        task.user = user
    return task


def add(master: MasterState, agent: Agent, task: mesos.Task) -> TaskEntry:
    """Add a task to its agent and framework."""
    entry = TaskEntry(task, Resources.of(task.resources))
    agent.tasks[entry.key] = entry
    framework = master.frameworks.get(entry.key.framework_id)
    if framework is not None:
        framework.tasks[entry.key.task_id] = entry
    if not entry.terminal:
        agent.used += entry.resources
    return entry


def remove(
    master: MasterState, agent: Agent, entry: TaskEntry, *, unreachable: bool = False
) -> None:
    """Remove a task from its agent. The framework keeps it as completed or unreachable."""
    del agent.tasks[entry.key]
    agent.killed.pop(entry.key, None)
    if not entry.terminal:
        agent.used -= entry.resources
    framework = master.frameworks.get(entry.key.framework_id)
    if framework is not None:
        framework.tasks.pop(entry.key.task_id, None)
        if unreachable:
            framework.unreachable_tasks[entry.key.task_id] = entry
        else:
            framework.completed_tasks.append(entry.task)
    master.schedule_allocation()


def add_executor(agent: Agent, executor: mesos.ExecutorInfo) -> None:
    key = (FrameworkId(executor.framework_id.value), ExecutorId(executor.executor_id.value))
    agent.executors[key] = executor
    agent.used += Resources.of(executor.resources)


def remove_executor(master: MasterState, agent: Agent, key: tuple[FrameworkId, ExecutorId]) -> bool:
    """Whether the executor existed."""
    executor = agent.executors.pop(key, None)
    if executor is None:
        return False
    agent.used -= Resources.of(executor.resources)
    master.schedule_allocation()
    return True


def update(
    master: MasterState, agent: Agent, entry: TaskEntry, update: internal.StatusUpdate
) -> None:
    """Apply a status update: the latest state, and the state and uuid that were forwarded."""
    task = entry.task
    latest = update.latest_state if update.HasField("latest_state") else update.status.state
    was_terminal = entry.terminal
    if not was_terminal:
        task.state = latest
    task.status_update_state = update.status.state
    task.status_update_uuid = update.uuid
    status = mesos.TaskStatus()
    status.CopyFrom(update.status)
    status.ClearField("data")
    if task.statuses and task.statuses[-1].state == status.state:
        del task.statuses[-1]
    task.statuses.append(status)
    if entry.terminal and not was_terminal:
        agent.used -= entry.resources
        master.schedule_allocation()


def master_status(
    master: MasterState,
    task_id: TaskId,
    state: State,
    reason: Reason,
    message: str,
    agent_id: AgentId | None = None,
) -> mesos.TaskStatus:
    """A status that the master generates: without a uuid, so it is not acknowledged."""
    status = mesos.TaskStatus(
        state=state,
        message=message,
        source=mesos.TaskStatus.SOURCE_MASTER,
        reason=reason,
        timestamp=master.now,
    )
    status.task_id.value = task_id
    if agent_id is not None:
        status.slave_id.value = agent_id
    return status


def forward(master: MasterState, framework: MasterFramework, status: mesos.TaskStatus) -> None:
    master.send_event(framework, "UPDATE", {"status": to_json(status)})


def end(
    master: MasterState,
    agent: Agent,
    entry: TaskEntry,
    state: State,
    reason: Reason,
    message: str,
    *,
    unreachable: bool = False,
) -> None:
    """Remove a task from its agent and send a status that the master generates."""
    status = master_status(master, entry.key.task_id, state, reason, message, agent.id)
    framework = master.frameworks.get(entry.key.framework_id)
    remove(master, agent, entry, unreachable=unreachable)
    entry.task.state = state
    entry.task.statuses.append(status)
    if framework is not None:
        forward(master, framework, status)
