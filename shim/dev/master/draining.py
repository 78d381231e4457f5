"""The operator calls DRAIN_AGENT, DEACTIVATE_AGENT and REACTIVATE_AGENT."""

from __future__ import annotations

from shim.dev.master import agents, offers
from shim.dev.master.effects import SaveRegistry
from shim.dev.master.master_state import Agent, Drain, MasterState
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal


def drain(master: MasterState, agent: Agent, config: mesos.DrainConfig) -> None:
    """Stop offering the agent and order it to kill its tasks."""
    agent.drain = Drain(config)
    agent.deactivated = True
    master.registry.drains[agent.id] = agent.drain
    master.out.append(SaveRegistry())
    offers.rescind_agent_offers(master, agent)
    if agent.connected:
        master.send(agent, internal.DrainSlaveMessage(config=config))
    check_drained(master, agent)


def deactivate(master: MasterState, agent: Agent) -> None:
    agent.deactivated = True
    offers.rescind_agent_offers(master, agent)


def reactivate(master: MasterState, agent: Agent) -> None:
    agent.drain = None
    agent.deactivated = False
    master.registry.drains.pop(agent.id, None)
    master.out.append(SaveRegistry())
    offers.allocate(master)


def check_drained(master: MasterState, agent: Agent) -> None:
    """A draining agent without tasks and operations is drained; then ``mark_gone`` applies."""
    draining = agent.drain
    if draining is None or draining.drained or agent.tasks or agent.operations:
        return
    draining.drained = True
    master.log(f"agent {agent.id} is drained")
    if draining.config.mark_gone:
        agents.mark_gone(master, agent.id)
