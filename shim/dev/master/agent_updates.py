"""Agents' messages about tasks, executors and themselves."""

from __future__ import annotations

from shim.dev.master import agent_validation, operations, tasks
from shim.dev.master.master_state import MasterState
from shim.model.ids import AgentId, ExecutorId, FrameworkId, Pid, TaskId, TaskKey
from shim.model.v1_json import to_json
from shim.protos import messages_pb2 as internal


def status_update(master: MasterState, sender: Pid, message: internal.StatusUpdateMessage) -> None:
    if reason := agent_validation.invalid_status(message):
        master.drop_message(sender, message, reason)
        return
    if fatal := agent_validation.fatal_status(message):
        master.abort(sender, message, fatal)
        return
    update = message.update
    agent = master.agents.get(AgentId(update.slave_id.value))
    if agent is None:
        master.drop_message(sender, message, f"unknown agent {update.slave_id.value}")
        return
    framework = master.frameworks.get(FrameworkId(update.framework_id.value))
    if framework is None:
        master.drop_message(sender, message, f"unknown framework {update.framework_id.value}")
        return
    tasks.forward(master, framework, update.status)
    entry = agent.tasks.get(TaskKey(framework.id, TaskId(update.status.task_id.value)))
    if entry is not None:
        tasks.update(master, agent, entry, update)
        if entry.terminal:
            agent.killed.pop(entry.key, None)


def exited_executor(
    master: MasterState, sender: Pid, message: internal.ExitedExecutorMessage
) -> None:
    agent = master.agents.get(AgentId(message.slave_id.value))
    key = (FrameworkId(message.framework_id.value), ExecutorId(message.executor_id.value))
    if agent is None or not tasks.remove_executor(master, agent, key):
        master.drop_message(sender, message, f"unknown executor {key[1]}")
        return
    framework = master.frameworks.get(key[0])
    if framework is not None:
        failure = {
            "agent_id": {"value": agent.id},
            "executor_id": {"value": key[1]},
            "status": message.status,
        }
        master.send_event(framework, "FAILURE", failure)


def executor_message(
    master: MasterState, sender: Pid, message: internal.ExecutorToFrameworkMessage
) -> None:
    framework = master.frameworks.get(FrameworkId(message.framework_id.value))
    if framework is None or AgentId(message.slave_id.value) not in master.agents:
        master.drop_message(sender, message, "unknown framework or agent")
        return
    body = to_json(message)
    body.pop("framework_id", None)
    master.send_event(framework, "MESSAGE", body)


def update_slave(master: MasterState, sender: Pid, message: internal.UpdateSlaveMessage) -> None:
    if fatal := agent_validation.fatal_update_slave(message):
        master.abort(sender, message, fatal)
        return
    agent = master.agents.get(AgentId(message.slave_id.value))
    if agent is None:
        master.drop_message(sender, message, f"unknown agent {message.slave_id.value}")
        return
    if message.HasField("resource_version_uuid"):
        agent.resource_version = message.resource_version_uuid.value
    if message.HasField("operations"):
        operations.compare(master, agent, message.operations)
