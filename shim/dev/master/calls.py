"""What a subscribed framework asks for, once the call has been understood."""

from __future__ import annotations

from shim.dev.master import draining, offers, operations, tasks, tell
from shim.dev.master.state import Framework, World
from shim.model.ids import AgentId, ExecutorId, TaskId, TaskKey
from shim.model.states import TERMINAL
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

Status = mesos.TaskStatus


def kill(
    world: World,
    framework: Framework,
    task_id: TaskId,
    agent_id: AgentId | None,
    policy: mesos.KillPolicy | None,
) -> None:
    """Remembered until the task has ended: sent again when its agent re-registers."""
    entry = framework.tasks.get(task_id)
    if entry is None:
        reconcile(world, framework, [(task_id, agent_id)])
        return
    agent = world.agents[AgentId(entry.task.slave_id.value)]
    agent.killed[entry.key] = policy
    if agent.connected:
        world.tell(agent, tell.kill(entry.key, policy))


def acknowledge(
    world: World, framework: Framework, agent_id: AgentId, task_id: TaskId, uuid: bytes
) -> None:
    """Passed on only to a connected agent. A terminal one makes the master forget the task."""
    agent = world.agents.get(agent_id)
    message = internal.StatusUpdateAcknowledgementMessage(uuid=uuid)
    message.slave_id.value = agent_id
    message.framework_id.value = framework.id
    message.task_id.value = task_id
    if agent is None or not agent.connected:
        world.refuse(framework.id, message, f"agent {agent_id} is unknown or disconnected")
        return
    entry = agent.tasks.get(TaskKey(framework.id, task_id))
    if entry is not None:
        task = entry.task
        if not task.HasField("status_update_state"):
            world.refuse(framework.id, message, f"no update of {task_id} was forwarded")
            return
        if task.status_update_state in TERMINAL and uuid == task.status_update_uuid:
            tasks.remove(world, agent, entry)
    world.tell(agent, message)
    draining.look(world, agent)


def reconcile(
    world: World, framework: Framework, asked: list[tuple[TaskId, AgentId | None]]
) -> None:
    """The latest state of the tasks asked for, or of all of them."""
    if not asked:
        for entry in framework.tasks.values():
            tasks.forward(world, framework, _latest(world, entry.task))
        return
    for task_id, agent_id in asked:
        status = _explain(world, framework, task_id, agent_id)
        if status is not None:
            tasks.forward(world, framework, status)


def _latest(world: World, task: mesos.Task) -> mesos.TaskStatus:
    known = task.HasField("status_update_state")
    status = tasks.master_status(
        world,
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


def _explain(
    world: World, framework: Framework, task_id: TaskId, agent_id: AgentId | None
) -> mesos.TaskStatus | None:
    """None: an agent that may have the task is not back yet; the framework has to wait."""
    aware = framework.partition_aware
    if entry := framework.tasks.get(task_id):
        return _latest(world, entry.task)
    if entry := framework.unreachable_tasks.get(task_id):
        agent_id, state = AgentId(entry.task.slave_id.value), mesos.TASK_UNREACHABLE
        text = "Task is unreachable"
    elif agent_id in world.recovered or (agent_id is None and world.recovered):
        return None
    elif agent_id in world.agents:
        state, text = mesos.TASK_GONE, "Task is unknown to the agent"
    elif agent_id in world.registry.unreachable:
        state, text = mesos.TASK_UNREACHABLE, "Task is unreachable"
    elif agent_id in world.registry.gone:
        state, text = mesos.TASK_GONE_BY_OPERATOR, "Task is gone"
    else:
        state, text = mesos.TASK_UNKNOWN, "Task is unknown"
    return tasks.master_status(
        world,
        task_id,
        state if aware else mesos.TASK_LOST,
        Status.REASON_RECONCILIATION,
        f"Reconciliation: {text}",
        agent_id,
    )


def shutdown_executor(
    world: World, framework: Framework, agent_id: AgentId, executor_id: ExecutorId
) -> None:
    agent = world.agents.get(agent_id)
    if agent is None or not agent.connected:
        return
    message = internal.ShutdownExecutorMessage()
    message.executor_id.value = executor_id
    message.framework_id.value = framework.id
    world.tell(agent, message)


def send_message(
    world: World, framework: Framework, agent_id: AgentId, executor_id: ExecutorId, data: bytes
) -> None:
    agent = world.agents.get(agent_id)
    if agent is None or not agent.connected:
        return
    message = internal.FrameworkToExecutorMessage(data=data)
    message.slave_id.value = agent_id
    message.framework_id.value = framework.id
    message.executor_id.value = executor_id
    world.tell(agent, message)


def revive(world: World, framework: Framework, roles: set[str]) -> None:
    """Forget refusals, offer at once."""
    chosen = roles or set(framework.roles)
    framework.suppressed -= chosen
    framework.filters = {k: v for k, v in framework.filters.items() if k[1] not in chosen}
    offers.allocate(world)


def suppress(framework: Framework, roles: set[str]) -> None:
    framework.suppressed |= roles or set(framework.roles)


def acknowledge_operation(
    world: World, framework: Framework, agent_id: AgentId, operation_id: str, uuid: bytes
) -> None:
    agent = world.agents.get(agent_id)
    if agent is None or not agent.connected:
        return
    for entry in list(agent.operations.values()):
        if entry.framework_id == framework.id and entry.info.id.value == operation_id:
            operations.acknowledge(world, agent, uuid, entry)
