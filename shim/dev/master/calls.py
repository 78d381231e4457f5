"""Calls of a subscribed framework, after ``scheduler_api`` has parsed them."""

from __future__ import annotations

from shim.dev.master import agent_messages, draining, offers, operations, tasks
from shim.dev.master.master_state import MasterFramework, MasterState
from shim.model.ids import AgentId, ExecutorId, TaskId, TaskKey
from shim.model.states import TERMINAL
from shim.model.v1_json import to_json
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

Status = mesos.TaskStatus


def kill(
    master: MasterState,
    framework: MasterFramework,
    task_id: TaskId,
    agent_id: AgentId | None,
    policy: mesos.KillPolicy | None,
) -> None:
    """Send the kill. It is sent again when the agent re-registers before the task has ended."""
    entry = framework.tasks.get(task_id)
    if entry is None:
        reconcile(master, framework, [(task_id, agent_id)])
        return
    agent = master.agents[AgentId(entry.task.slave_id.value)]
    agent.killed[entry.key] = policy
    if agent.connected:
        master.send(agent, agent_messages.kill(entry.key, policy))


def acknowledge(
    master: MasterState, framework: MasterFramework, agent_id: AgentId, task_id: TaskId, uuid: bytes
) -> None:
    """Forward to a connected agent. The acknowledgement of a terminal update removes the task."""
    agent = master.agents.get(agent_id)
    message = internal.StatusUpdateAcknowledgementMessage(uuid=uuid)
    message.slave_id.value = agent_id
    message.framework_id.value = framework.id
    message.task_id.value = task_id
    if agent is None or not agent.connected:
        master.drop_message(framework.id, message, f"agent {agent_id} is unknown or disconnected")
        return
    entry = agent.tasks.get(TaskKey(framework.id, task_id))
    if entry is not None:
        task = entry.task
        if not task.HasField("status_update_state"):
            master.drop_message(framework.id, message, f"no update of {task_id} was forwarded")
            return
        if task.status_update_state in TERMINAL and uuid == task.status_update_uuid:
            tasks.remove(master, agent, entry)
    master.send(agent, message)
    draining.check_drained(master, agent)


def reconcile(
    master: MasterState, framework: MasterFramework, queried: list[tuple[TaskId, AgentId | None]]
) -> None:
    """Send the latest state of the tasks in question; of all tasks when ``queried`` is empty."""
    if not queried:
        for entry in framework.tasks.values():
            tasks.forward(master, framework, _latest(master, entry.task))
        return
    for task_id, agent_id in queried:
        status = _unknown_task_status(master, framework, task_id, agent_id)
        if status is not None:
            tasks.forward(master, framework, status)


def _latest(master: MasterState, task: mesos.Task) -> mesos.TaskStatus:
    known = task.HasField("status_update_state")
    status = tasks.master_status(
        master,
        TaskId(task.task_id.value),
        task.status_update_state if known else task.state,
        Status.REASON_RECONCILIATION,
        "Reconciliation: Latest task state",
        AgentId(task.slave_id.value),
    )
    if task.HasField("executor_id"):
        status.executor_id.CopyFrom(task.executor_id)
    if task.statuses:
        last = task.statuses[-1]
        for name in ("container_status", "check_status"):
            if last.HasField(name):
                getattr(status, name).CopyFrom(getattr(last, name))
        if last.HasField("healthy"):
            status.healthy = last.healthy
    return status


def _unknown_task_status(
    master: MasterState, framework: MasterFramework, task_id: TaskId, agent_id: AgentId | None
) -> mesos.TaskStatus | None:
    """None while a recovered agent that may run the task has not re-registered."""
    aware = framework.partition_aware
    if entry := framework.tasks.get(task_id):
        return _latest(master, entry.task)
    if entry := framework.unreachable_tasks.get(task_id):
        agent_id, state = AgentId(entry.task.slave_id.value), mesos.TASK_UNREACHABLE
        text = "Task is unreachable"
    elif agent_id in master.recovered or (agent_id is None and master.recovered):
        return None
    elif agent_id in master.agents:
        state, text = mesos.TASK_GONE, "Task is unknown to the agent"
    elif agent_id in master.registry.unreachable:
        state, text = mesos.TASK_UNREACHABLE, "Task is unreachable"
    elif agent_id in master.registry.gone:
        state, text = mesos.TASK_GONE_BY_OPERATOR, "Task is gone"
    else:
        state, text = mesos.TASK_UNKNOWN, "Task is unknown"
    return tasks.master_status(
        master,
        task_id,
        state if aware else mesos.TASK_LOST,
        Status.REASON_RECONCILIATION,
        f"Reconciliation: {text}",
        agent_id,
    )


def shutdown_executor(
    master: MasterState, framework: MasterFramework, agent_id: AgentId, executor_id: ExecutorId
) -> None:
    agent = master.agents.get(agent_id)
    if agent is None or not agent.connected:
        return
    message = internal.ShutdownExecutorMessage()
    message.executor_id.value = executor_id
    message.framework_id.value = framework.id
    master.send(agent, message)


def send_message(
    master: MasterState,
    framework: MasterFramework,
    agent_id: AgentId,
    executor_id: ExecutorId,
    data: bytes,
) -> None:
    agent = master.agents.get(agent_id)
    if agent is None or not agent.connected:
        return
    message = internal.FrameworkToExecutorMessage(data=data)
    message.slave_id.value = agent_id
    message.framework_id.value = framework.id
    message.executor_id.value = executor_id
    master.send(agent, message)


def revive(master: MasterState, framework: MasterFramework, roles: set[str]) -> None:
    """Remove the filters of these roles, or of all roles, and allocate."""
    chosen = roles or set(framework.roles)
    framework.suppressed -= chosen
    framework.filters = {k: v for k, v in framework.filters.items() if k[1] not in chosen}
    offers.allocate(master)


def suppress(framework: MasterFramework, roles: set[str]) -> None:
    framework.suppressed |= roles or set(framework.roles)


def reconcile_operations(
    master: MasterState, framework: MasterFramework, queried: list[tuple[str, AgentId | None]]
) -> None:
    """Send the latest state of the operations in question; of all when ``queried`` is empty."""
    known = {
        entry.info.id.value: (agent.id, entry)
        for agent in master.agents.values()
        for entry in agent.operations.values()
        if entry.framework_id == framework.id and entry.info.HasField("id")
    }
    for operation_id, agent_id in queried or [(name, None) for name in known]:
        status = mesos.OperationStatus(state=_state_of_unknown(master, agent_id))
        status.operation_id.value = operation_id
        if operation_id in known:
            agent_id, entry = known[operation_id]
            status.state = mesos.OperationState.ValueType(entry.state)
        if agent_id is not None:
            status.slave_id.value = agent_id
        master.send_event(framework, "UPDATE_OPERATION_STATUS", {"status": to_json(status)})


def _state_of_unknown(
    master: MasterState, agent_id: AgentId | None
) -> mesos.OperationState.ValueType:
    """Of an operation that the master does not have, by what became of its agent."""
    if agent_id in master.recovered:
        return mesos.OPERATION_RECOVERING
    if agent_id in master.registry.unreachable:
        return mesos.OPERATION_UNREACHABLE
    if agent_id in master.registry.gone:
        return mesos.OPERATION_GONE_BY_OPERATOR
    return mesos.OPERATION_UNKNOWN


def acknowledge_operation(
    master: MasterState,
    framework: MasterFramework,
    agent_id: AgentId,
    operation_id: str,
    uuid: bytes,
) -> None:
    agent = master.agents.get(agent_id)
    if agent is None or not agent.connected:
        return
    for entry in list(agent.operations.values()):
        if entry.framework_id == framework.id and entry.info.id.value == operation_id:
            operations.acknowledge(master, agent, uuid, entry)
