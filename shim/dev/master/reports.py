"""What agents report about tasks, executors and themselves."""

from __future__ import annotations

from shim.dev.master import admission, tasks
from shim.dev.master.state import World
from shim.dev.master.v1json import to_json
from shim.model.ids import AgentId, ExecutorId, FrameworkId, Pid, TaskId, TaskKey
from shim.protos import messages_pb2 as internal


def status_update(world: World, sender: Pid, message: internal.StatusUpdateMessage) -> None:
    if reason := admission.refused_status(message):
        world.refuse(sender, message, reason)
        return
    if fatal := admission.abort_status(message):
        world.abort(sender, message, fatal)
        return
    update = message.update
    agent = world.agents.get(AgentId(update.slave_id.value))
    if agent is None:
        world.refuse(sender, message, f"unknown agent {update.slave_id.value}")
        return
    framework = world.frameworks.get(FrameworkId(update.framework_id.value))
    if framework is None:
        world.refuse(sender, message, f"unknown framework {update.framework_id.value}")
        return
    tasks.forward(world, framework, update.status)
    entry = agent.tasks.get(TaskKey(framework.id, TaskId(update.status.task_id.value)))
    if entry is not None:
        tasks.advance(world, agent, entry, update)
        if entry.terminal:
            agent.killed.pop(entry.key, None)


def exited_executor(world: World, sender: Pid, message: internal.ExitedExecutorMessage) -> None:
    agent = world.agents.get(AgentId(message.slave_id.value))
    key = (FrameworkId(message.framework_id.value), ExecutorId(message.executor_id.value))
    if agent is None or not tasks.remove_executor(world, agent, key):
        world.refuse(sender, message, f"unknown executor {key[1]}")
        return
    framework = world.frameworks.get(key[0])
    if framework is not None:
        failure = {
            "agent_id": {"value": agent.id},
            "executor_id": {"value": key[1]},
            "status": message.status,
        }
        world.emit(framework, "FAILURE", failure)


def executor_message(
    world: World, sender: Pid, message: internal.ExecutorToFrameworkMessage
) -> None:
    framework = world.frameworks.get(FrameworkId(message.framework_id.value))
    if framework is None or AgentId(message.slave_id.value) not in world.agents:
        world.refuse(sender, message, "unknown framework or agent")
        return
    body = to_json(message)
    body.pop("framework_id", None)
    world.emit(framework, "MESSAGE", body)


def update_slave(world: World, sender: Pid, message: internal.UpdateSlaveMessage) -> None:
    if fatal := admission.abort_update_slave(message):
        world.abort(sender, message, fatal)
        return
    agent = world.agents.get(AgentId(message.slave_id.value))
    if agent is None:
        world.refuse(sender, message, f"unknown agent {message.slave_id.value}")
    elif message.HasField("resource_version_uuid"):
        agent.resource_version = message.resource_version_uuid.value
