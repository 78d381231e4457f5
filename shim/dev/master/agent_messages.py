"""Messages to agents that several modules send."""

from __future__ import annotations

from shim.dev.master.effects import SendMessage
from shim.dev.master.master_state import (
    HTTP_FRAMEWORK_PID,
    Agent,
    AgentCapability,
    MasterFramework,
    MasterState,
)
from shim.model.ids import FrameworkId, Pid, TaskKey
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal


def connection(master: MasterState) -> internal.MasterSlaveConnection:
    return internal.MasterSlaveConnection(
        total_ping_timeout_seconds=master.options.total_ping_timeout
    )


def kill(key: TaskKey, policy: mesos.KillPolicy | None) -> internal.KillTaskMessage:
    message = internal.KillTaskMessage(kill_policy=policy)
    message.framework_id.value = key.framework_id
    message.task_id.value = key.task_id
    return message


def shutdown_framework(master: MasterState, agent: Agent, framework_id: FrameworkId) -> None:
    message = internal.ShutdownFrameworkMessage()
    message.framework_id.value = framework_id
    master.send(agent, message)


def drain(master: MasterState, agent: Agent) -> None:
    if agent.drain is not None:
        master.send(agent, internal.DrainSlaveMessage(config=agent.drain.config))


def checkpointed(master: MasterState, agent: Agent) -> None:
    """Send all dynamic reservations and volumes to an agent without resource providers."""
    refined = agent.can(AgentCapability.RESERVATION_REFINEMENT)
    kept = agent.checkpointed.resources(refined=refined)
    master.send(agent, internal.CheckpointResourcesMessage(resources=kept))


def update_framework(framework: MasterFramework) -> internal.UpdateFrameworkMessage:
    message = internal.UpdateFrameworkMessage(pid=HTTP_FRAMEWORK_PID, framework_info=framework.info)
    message.framework_id.value = framework.id
    return message


def shutdown(master: MasterState, to: Pid, why: str) -> None:
    master.out.append(SendMessage(to, "master", internal.ShutdownMessage(message=why)))
