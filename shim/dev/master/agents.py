"""Agents once they are admitted: how they are watched, lost and removed (facts 4.9, 4.11)."""

from __future__ import annotations

import logging

from google.protobuf.message import Message

from shim.dev.master import offers, tasks, tell
from shim.dev.master.effects import SaveRegistry
from shim.dev.master.state import Agent, World
from shim.model.ids import AgentId, FrameworkId, Pid
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal


def ping(world: World, agent: Agent) -> None:
    message = internal.PingSlaveMessage(connected=agent.connected)
    world.tell(agent, message, sender=f"slave-observer({agent.observer})")
    agent.pinged = True
    world.timer("ping", agent.id, world.options.ping_timeout)


def ping_due(world: World, agent_id: AgentId) -> None:
    """One interval after a ping: count it if there was no pong, and ask again."""
    agent = world.agents.get(agent_id)
    if agent is None:
        return
    if agent.pinged:
        agent.pings_missed += 1
        if agent.pings_missed >= world.options.max_ping_timeouts:
            mark_unreachable(world, agent, "health check timed out")
            return
    ping(world, agent)


def pong(world: World, observer: int) -> None:
    for agent in world.agents.values():
        if agent.observer == observer:
            agent.pinged = False
            agent.pings_missed = 0


def link_lost(world: World, address: tuple[str, int]) -> None:
    """The connection to an address broke: every agent there is disconnected at once."""
    for agent in [a for a in world.agents.values() if a.pid.address == address]:
        if agent.connected:
            _disconnect(world, agent)


def _disconnect(world: World, agent: Agent) -> None:
    world.log(f"agent {agent.id} at {agent.pid} disconnected", logging.WARNING)
    agent.connected = False
    world.authenticated.pop(agent.pid, None)
    offers.rescind_of_agent(world, agent)
    world.timer("reregister", agent.id, world.options.agent_reregister_timeout)
    for entry in list(agent.tasks.values()):
        framework = world.frameworks.get(entry.key.framework_id)
        if framework is not None and not framework.info.checkpoint:
            tasks.declare(
                world,
                agent,
                entry,
                mesos.TASK_LOST,
                mesos.TaskStatus.REASON_SLAVE_DISCONNECTED,
                "Agent disconnected",
            )
    for key in list(agent.executors):
        framework = world.frameworks.get(key[0])
        if framework is not None and not framework.info.checkpoint:
            tasks.remove_executor(world, agent, key)


def reregister_overdue(world: World, agent_id: AgentId) -> None:
    agent = world.agents.get(agent_id)
    if agent is not None and not agent.connected:
        mark_unreachable(world, agent, "agent did not re-register within the timeout")
    elif world.recovered.pop(agent_id, None) is not None:
        world.registry.admitted.pop(agent_id, None)
        world.registry.unreachable[agent_id] = world.now
        world.out.append(SaveRegistry())


def mark_unreachable(world: World, agent: Agent, why: str) -> None:
    """No message to the agent: it notices by itself, and may come back."""
    world.log(f"agent {agent.id} is unreachable: {why}", logging.WARNING)
    world.registry.unreachable[agent.id] = world.now
    for entry in list(agent.tasks.values()):
        if entry.terminal:
            tasks.remove(world, agent, entry)
            continue
        aware = _partition_aware(world, entry.key.framework_id)
        tasks.declare(
            world,
            agent,
            entry,
            mesos.TASK_UNREACHABLE if aware else mesos.TASK_LOST,
            mesos.TaskStatus.REASON_SLAVE_REMOVED,
            f"Agent is unreachable: {why}",
            unreachable=True,
        )
    _forget(world, agent)


def _partition_aware(world: World, framework_id: FrameworkId) -> bool:
    framework = world.frameworks.get(framework_id)
    return framework is not None and framework.partition_aware


def _forget(world: World, agent: Agent) -> None:
    """The agent is no longer registered: no offers, no pings, and the frameworks hear of it."""
    offers.rescind_of_agent(world, agent)
    world.agents.pop(agent.id, None)
    world.registry.admitted.pop(agent.id, None)
    world.registry.drains.pop(agent.id, None)
    world.authenticated.pop(agent.pid, None)
    world.stop_timer("ping", agent.id)
    world.stop_timer("reregister", agent.id)
    world.out.append(SaveRegistry())
    for framework in world.frameworks.values():
        framework.filters = {k: v for k, v in framework.filters.items() if k[0] != agent.id}
        world.emit(framework, "FAILURE", {"agent_id": {"value": agent.id}})


def remove(world: World, agent: Agent, why: str) -> None:
    """The agent is gone from the registry, its tasks are lost for every framework."""
    world.log(f"removing agent {agent.id}: {why}")
    for entry in list(agent.tasks.values()):
        if entry.terminal:
            tasks.remove(world, agent, entry)
        else:
            tasks.declare(
                world,
                agent,
                entry,
                mesos.TASK_LOST,
                mesos.TaskStatus.REASON_SLAVE_REMOVED,
                f"Agent was removed: {why}",
            )
    _forget(world, agent)


def unregister(world: World, sender: Pid, message: internal.UnregisterSlaveMessage) -> None:
    agent = world.agents.get(AgentId(message.slave_id.value))
    if agent is None or agent.pid != sender:
        world.refuse(sender, message, f"no agent {message.slave_id.value} at that address")
        return
    remove(world, agent, "the agent unregistered")


def mark_gone(world: World, agent_id: AgentId) -> bool:
    """By an operator, for ever. False: no such agent."""
    agent = world.agents.get(agent_id)
    known = agent_id in world.registry.unreachable or agent_id in world.recovered
    if agent is None and not known:
        return agent_id in world.registry.gone
    world.registry.gone[agent_id] = world.now
    world.registry.unreachable.pop(agent_id, None)
    world.recovered.pop(agent_id, None)
    if agent is None:
        world.registry.admitted.pop(agent_id, None)
        world.out.append(SaveRegistry())
        return True
    for entry in list(agent.tasks.values()):
        aware = _partition_aware(world, entry.key.framework_id)
        tasks.declare(
            world,
            agent,
            entry,
            mesos.TASK_GONE_BY_OPERATOR if aware else mesos.TASK_LOST,
            mesos.TaskStatus.REASON_SLAVE_REMOVED_BY_OPERATOR,
            "Agent has been marked gone",
        )
    tell.shutdown(world, agent.pid, "Agent has been marked gone")
    _forget(world, agent)
    return True


# ---- authentication ----------------------------------------------------------------------------


def authentication_started(world: World, agent: Pid) -> None:
    """Forget what was known of the agent, and hold its registrations back until it is over."""
    world.authenticated.pop(agent, None)
    world.authenticating.setdefault(agent, [])


def authentication_ended(world: World, agent: Pid, principal: str | None) -> list[Message]:
    """What the agent sent meanwhile, to be looked at now."""
    if principal is not None:
        world.authenticated[agent] = principal
    return world.authenticating.pop(agent, [])
