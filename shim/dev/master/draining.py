"""Operators and agents: emptying one, taking it out of the offers, taking it back."""

from __future__ import annotations

from shim.dev.master import agents, offers
from shim.dev.master.effects import SaveRegistry
from shim.dev.master.state import Agent, Drain, World
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal


def drain(world: World, agent: Agent, config: mesos.DrainConfig) -> None:
    """No more offers of it; it is to kill what it runs."""
    agent.drain = Drain(config)
    agent.deactivated = True
    world.registry.drains[agent.id] = agent.drain
    world.out.append(SaveRegistry())
    offers.rescind_of_agent(world, agent)
    if agent.connected:
        world.tell(agent, internal.DrainSlaveMessage(config=config))
    look(world, agent)


def deactivate(world: World, agent: Agent) -> None:
    agent.deactivated = True
    offers.rescind_of_agent(world, agent)


def reactivate(world: World, agent: Agent) -> None:
    agent.drain = None
    agent.deactivated = False
    world.registry.drains.pop(agent.id, None)
    world.out.append(SaveRegistry())
    offers.allocate(world)


def look(world: World, agent: Agent) -> None:
    """A draining agent without tasks is drained; or gone, if that was asked."""
    under_way = agent.drain
    if under_way is None or under_way.drained or agent.tasks or agent.operations:
        return
    under_way.drained = True
    world.log(f"agent {agent.id} is drained")
    if under_way.config.mark_gone:
        agents.mark_gone(world, agent.id)
