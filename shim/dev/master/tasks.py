"""The master's book of tasks: what runs where, what it holds, and how it ended."""

from __future__ import annotations

from typing import TypeAlias

from shim.dev.master.resources import Bag
from shim.dev.master.state import Agent, Framework, TaskEntry, World
from shim.dev.master.v1json import to_json
from shim.model.ids import AgentId, ExecutorId, FrameworkId, TaskId
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

State: TypeAlias = "mesos.TaskState.ValueType"
Reason: TypeAlias = "mesos.TaskStatus.Reason.ValueType"


def task_of(info: mesos.TaskInfo, framework_id: FrameworkId) -> mesos.Task:
    """The master's record of a task about to be launched."""
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


def add(world: World, agent: Agent, task: mesos.Task) -> TaskEntry:
    """Book a task on its agent and framework."""
    entry = TaskEntry(task, Bag.of(task.resources))
    agent.tasks[entry.key] = entry
    framework = world.frameworks.get(entry.key.framework_id)
    if framework is not None:
        framework.tasks[entry.key.task_id] = entry
    if not entry.terminal:
        agent.used += entry.resources
    return entry


def remove(world: World, agent: Agent, entry: TaskEntry, *, unreachable: bool = False) -> None:
    """Take a task off its agent; the framework keeps it as completed, or as unreachable."""
    del agent.tasks[entry.key]
    agent.killed.pop(entry.key, None)
    if not entry.terminal:
        agent.used -= entry.resources
    framework = world.frameworks.get(entry.key.framework_id)
    if framework is not None:
        framework.tasks.pop(entry.key.task_id, None)
        if unreachable:
            framework.unreachable_tasks[entry.key.task_id] = entry
        else:
            framework.completed_tasks.append(entry.task)
    world.allocate_soon()


def add_executor(agent: Agent, executor: mesos.ExecutorInfo) -> None:
    key = (FrameworkId(executor.framework_id.value), ExecutorId(executor.executor_id.value))
    agent.executors[key] = executor
    agent.used += Bag.of(executor.resources)


def remove_executor(world: World, agent: Agent, key: tuple[FrameworkId, ExecutorId]) -> bool:
    """Whether there was one."""
    executor = agent.executors.pop(key, None)
    if executor is None:
        return False
    agent.used -= Bag.of(executor.resources)
    world.allocate_soon()
    return True


def advance(world: World, agent: Agent, entry: TaskEntry, update: internal.StatusUpdate) -> None:
    """Book a status update: the latest state at once, what was forwarded beside it."""
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
        world.allocate_soon()


def master_status(
    world: World,
    task_id: TaskId,
    state: State,
    reason: Reason,
    message: str,
    agent_id: AgentId | None = None,
) -> mesos.TaskStatus:
    """A status of the master's own making: without a uuid, so nobody acknowledges it."""
    status = mesos.TaskStatus(
        state=state,
        message=message,
        source=mesos.TaskStatus.SOURCE_MASTER,
        reason=reason,
        timestamp=world.now,
    )
    status.task_id.value = task_id
    if agent_id is not None:
        status.slave_id.value = agent_id
    return status


def forward(world: World, framework: Framework, status: mesos.TaskStatus) -> None:
    world.emit(framework, "UPDATE", {"status": to_json(status)})


def declare(
    world: World,
    agent: Agent,
    entry: TaskEntry,
    state: State,
    reason: Reason,
    message: str,
    *,
    unreachable: bool = False,
) -> None:
    """The master itself says what became of a task, and takes it off the agent."""
    status = master_status(world, entry.key.task_id, state, reason, message, agent.id)
    framework = world.frameworks.get(entry.key.framework_id)
    remove(world, agent, entry, unreachable=unreachable)
    entry.task.state = state
    entry.task.statuses.append(status)
    if framework is not None:
        forward(world, framework, status)
