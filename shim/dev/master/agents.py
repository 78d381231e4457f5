"""Admitted agents: pings, disconnection, removal.

A master pings an agent every ``ping_timeout``. After ``max_ping_timeouts`` missed pongs, or when a
disconnected agent does not re-register in time, the master marks the agent unreachable.
"""

from __future__ import annotations

import logging

from google.protobuf.message import Message

from shim.dev.master import agent_messages, offers, tasks
from shim.dev.master.effects import SaveRegistry
from shim.dev.master.master_state import Agent, MasterState
from shim.model.ids import AgentId, FrameworkId, Pid
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal


def ping(master: MasterState, agent: Agent) -> None:
    message = internal.PingSlaveMessage(connected=agent.connected)
    master.send(agent, message, sender=f"slave-observer({agent.observer})")
    agent.pinged = True
    master.set_timer("ping", agent.id, master.options.ping_timeout)


def ping_timed_out(master: MasterState, agent_id: AgentId) -> None:
    """One interval after a ping: count a missing pong, and ping again."""
    agent = master.agents.get(agent_id)
    if agent is None:
        return
    if agent.pinged:
        agent.pings_missed += 1
        if agent.pings_missed >= master.options.max_ping_timeouts:
            mark_unreachable(master, agent, "health check timed out")
            return
    ping(master, agent)


def pong(master: MasterState, observer: int) -> None:
    for agent in master.agents.values():
        if agent.observer == observer:
            agent.pinged = False
            agent.pings_missed = 0


def disconnected(master: MasterState, address: tuple[str, int]) -> None:
    """The connection to an address broke: every agent at this address is disconnected."""
    for agent in [a for a in master.agents.values() if a.pid.address == address]:
        if agent.connected:
            _disconnect(master, agent)


def _disconnect(master: MasterState, agent: Agent) -> None:
    master.log(f"agent {agent.id} at {agent.pid} disconnected", logging.WARNING)
    agent.connected = False
    master.authenticated.pop(agent.pid, None)
    offers.rescind_agent_offers(master, agent)
    master.set_timer("reregister", agent.id, master.options.agent_reregister_timeout)
    for entry in list(agent.tasks.values()):
        framework = master.frameworks.get(entry.key.framework_id)
        if framework is not None and not framework.info.checkpoint:
            tasks.end(
                master,
                agent,
                entry,
                mesos.TASK_LOST,
                mesos.TaskStatus.REASON_SLAVE_DISCONNECTED,
                "Agent disconnected",
            )
    for key in list(agent.executors):
        framework = master.frameworks.get(key[0])
        if framework is not None and not framework.info.checkpoint:
            tasks.remove_executor(master, agent, key)


def reregistration_timed_out(master: MasterState, agent_id: AgentId) -> None:
    agent = master.agents.get(agent_id)
    if agent is not None and not agent.connected:
        mark_unreachable(master, agent, "agent did not re-register within the timeout")
    elif master.recovered.pop(agent_id, None) is not None:
        master.registry.admitted.pop(agent_id, None)
        master.registry.unreachable[agent_id] = master.now
        master.out.append(SaveRegistry())


def mark_unreachable(master: MasterState, agent: Agent, why: str) -> None:
    """The agent gets no message. It notices the missing pings and may re-register."""
    master.log(f"agent {agent.id} is unreachable: {why}", logging.WARNING)
    master.registry.unreachable[agent.id] = master.now
    for entry in list(agent.tasks.values()):
        if entry.terminal:
            tasks.remove(master, agent, entry)
            continue
        aware = _partition_aware(master, entry.key.framework_id)
        tasks.end(
            master,
            agent,
            entry,
            mesos.TASK_UNREACHABLE if aware else mesos.TASK_LOST,
            mesos.TaskStatus.REASON_SLAVE_REMOVED,
            f"Agent is unreachable: {why}",
            unreachable=True,
        )
    _remove_agent(master, agent)


def _partition_aware(master: MasterState, framework_id: FrameworkId) -> bool:
    framework = master.frameworks.get(framework_id)
    return framework is not None and framework.partition_aware


def _remove_agent(master: MasterState, agent: Agent) -> None:
    """Remove the agent from memory and registry, and send FAILURE to every framework."""
    offers.rescind_agent_offers(master, agent)
    master.agents.pop(agent.id, None)
    master.registry.admitted.pop(agent.id, None)
    master.registry.drains.pop(agent.id, None)
    master.authenticated.pop(agent.pid, None)
    master.cancel_timer("ping", agent.id)
    master.cancel_timer("reregister", agent.id)
    master.out.append(SaveRegistry())
    for framework in master.frameworks.values():
        framework.filters = {k: v for k, v in framework.filters.items() if k[0] != agent.id}
        master.send_event(framework, "FAILURE", {"agent_id": {"value": agent.id}})


def remove(master: MasterState, agent: Agent, why: str) -> None:
    """Remove the agent. Its tasks are TASK_LOST for every framework."""
    master.log(f"removing agent {agent.id}: {why}")
    for entry in list(agent.tasks.values()):
        if entry.terminal:
            tasks.remove(master, agent, entry)
        else:
            tasks.end(
                master,
                agent,
                entry,
                mesos.TASK_LOST,
                mesos.TaskStatus.REASON_SLAVE_REMOVED,
                f"Agent was removed: {why}",
            )
    _remove_agent(master, agent)


def unregister(master: MasterState, sender: Pid, message: internal.UnregisterSlaveMessage) -> None:
    agent = master.agents.get(AgentId(message.slave_id.value))
    if agent is None or agent.pid != sender:
        master.drop_message(sender, message, f"no agent {message.slave_id.value} at that address")
        return
    remove(master, agent, "the agent unregistered")


def mark_gone(master: MasterState, agent_id: AgentId) -> bool:
    """MARK_AGENT_GONE of an operator: the agent may never return. False: no such agent."""
    agent = master.agents.get(agent_id)
    known = agent_id in master.registry.unreachable or agent_id in master.recovered
    if agent is None and not known:
        return agent_id in master.registry.gone
    master.registry.gone[agent_id] = master.now
    master.registry.unreachable.pop(agent_id, None)
    master.recovered.pop(agent_id, None)
    if agent is None:
        master.registry.admitted.pop(agent_id, None)
        master.out.append(SaveRegistry())
        return True
    for entry in list(agent.tasks.values()):
        aware = _partition_aware(master, entry.key.framework_id)
        tasks.end(
            master,
            agent,
            entry,
            mesos.TASK_GONE_BY_OPERATOR if aware else mesos.TASK_LOST,
            mesos.TaskStatus.REASON_SLAVE_REMOVED_BY_OPERATOR,
            "Agent has been marked gone",
        )
    agent_messages.shutdown(master, agent.pid, "Agent has been marked gone")
    _remove_agent(master, agent)
    return True


# ---- authentication ----------------------------------------------------------------------------


def authentication_started(master: MasterState, agent: Pid) -> None:
    """Forget an earlier authentication, and hold the agent's registrations until this one ends."""
    master.authenticated.pop(agent, None)
    master.authenticating.setdefault(agent, [])


def authentication_ended(master: MasterState, agent: Pid, principal: str | None) -> list[Message]:
    """Returns the messages that the agent sent during the authentication."""
    if principal is not None:
        master.authenticated[agent] = principal
    return master.authenticating.pop(agent, [])
