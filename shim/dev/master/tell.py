"""Messages to agents that more than one occasion calls for."""

from __future__ import annotations

from shim.dev.master.effects import Tell
from shim.dev.master.state import HTTP_FRAMEWORK_PID, Agent, AgentCapability, Framework, World
from shim.model.ids import FrameworkId, Pid, TaskKey
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal


def connection(world: World) -> internal.MasterSlaveConnection:
    return internal.MasterSlaveConnection(
        total_ping_timeout_seconds=world.options.total_ping_timeout
    )


def kill(key: TaskKey, policy: mesos.KillPolicy | None) -> internal.KillTaskMessage:
    message = internal.KillTaskMessage(kill_policy=policy)
    message.framework_id.value = key.framework_id
    message.task_id.value = key.task_id
    return message


def shutdown_framework(world: World, agent: Agent, framework_id: FrameworkId) -> None:
    message = internal.ShutdownFrameworkMessage()
    message.framework_id.value = framework_id
    world.tell(agent, message)


def drain(world: World, agent: Agent) -> None:
    if agent.drain is not None:
        world.tell(agent, internal.DrainSlaveMessage(config=agent.drain.config))


def checkpointed(world: World, agent: Agent) -> None:
    """All reservations and volumes, to an agent without resource providers."""
    refined = agent.can(AgentCapability.RESERVATION_REFINEMENT)
    kept = agent.checkpointed.resources(refined=refined)
    world.tell(agent, internal.CheckpointResourcesMessage(resources=kept))


def update_framework(framework: Framework) -> internal.UpdateFrameworkMessage:
    message = internal.UpdateFrameworkMessage(pid=HTTP_FRAMEWORK_PID, framework_info=framework.info)
    message.framework_id.value = framework.id
    return message


def shutdown(world: World, to: Pid, why: str) -> None:
    world.out.append(Tell(to, "master", internal.ShutdownMessage(message=why)))
