"""Which resources are offered to whom. One offer holds all that an agent has free for a role."""

from __future__ import annotations

from collections.abc import Iterator

from shim.dev.master.resources import Bag
from shim.dev.master.state import (
    Agent,
    AgentCapability,
    Filter,
    Framework,
    FrameworkCapability,
    Offer,
    World,
)
from shim.dev.master.v1json import Json, to_json
from shim.model.ids import FrameworkId

DEFAULT_REFUSE_SECONDS = 5.0
LONGEST_REFUSAL = 365 * 24 * 3600.0
"""A master takes a longer refusal for this long."""

MIN_CPUS = 0.01
MIN_MEM = 32.0
"""Less of both than this is not offered."""


def allocate(world: World) -> None:
    """Offer everything that is free and wanted."""
    for agent in world.agents.values():
        if not agent.active:
            continue
        for framework, role in _candidates(world, agent):
            _offer(world, agent, framework, role)


def _candidates(world: World, agent: Agent) -> Iterator[tuple[Framework, str]]:
    """Connected frameworks with their roles, those that hold least first."""
    takers = [f for f in world.frameworks.values() if f.connected and _may_use(f, agent)]
    if len(takers) > 1:
        takers.sort(key=lambda f: _share(world, f))
    for framework in takers:
        for role in sorted(framework.roles - framework.suppressed):
            if "/" not in role or agent.can(AgentCapability.HIERARCHICAL_ROLE):
                yield framework, role


def _may_use(framework: Framework, agent: Agent) -> bool:
    multi = framework.can(FrameworkCapability.MULTI_ROLE)
    if multi and not agent.can(AgentCapability.MULTI_ROLE):
        return False
    gpus = agent.total.scalar("gpus") > 0
    return not gpus or framework.can(FrameworkCapability.GPU_RESOURCES)


def _share(world: World, framework: Framework) -> tuple[float, float]:
    held = sum((entry.resources for entry in framework.tasks.values() if not entry.terminal), Bag())
    for offer in world.offers.values():
        if offer.framework_id == framework.id:
            held += offer.resources
    cpus = sum(a.total.scalar("cpus") for a in world.agents.values()) or 1
    mem = sum(a.total.scalar("mem") for a in world.agents.values()) or 1
    return max(held.scalar("cpus") / cpus, held.scalar("mem") / mem), framework.registered_at


def free_of(world: World, agent: Agent) -> Bag:
    """What is neither used nor offered."""
    free = agent.total - agent.used
    for offer in world.offers.values():
        if offer.agent_id == agent.id:
            free -= offer.resources
    return free


def ancestors(role: str) -> frozenset[str]:
    """``a/b/c`` may also use what is reserved for ``a/b`` and ``a``."""
    parts = role.split("/")
    return frozenset("/".join(parts[: n + 1]) for n in range(len(parts)))


def _offer(world: World, agent: Agent, framework: Framework, role: str) -> None:
    resources = free_of(world, agent).pick(ancestors(role))
    if not framework.can(FrameworkCapability.RESERVATION_REFINEMENT):
        resources = resources.without_refined()
    if not _worth_it(resources) or _filtered(world, agent, framework, role, resources):
        return
    offer = Offer(
        id=f"{world.id}-O{next(world.offer_numbers)}",
        framework_id=framework.id,
        agent_id=agent.id,
        role=role,
        resources=resources,
    )
    world.offers[offer.id] = offer
    world.emit(framework, "OFFERS", {"offers": [_json(agent, framework, offer)]})


def _worth_it(resources: Bag) -> bool:
    return resources.scalar("cpus") >= MIN_CPUS or resources.scalar("mem") >= MIN_MEM


def _filtered(world: World, agent: Agent, framework: Framework, role: str, resources: Bag) -> bool:
    filters = [f for f in framework.filters.get((agent.id, role), ()) if f.until > world.now]
    framework.filters[agent.id, role] = filters
    return any(f.resources.covers(resources) for f in filters)


def _json(agent: Agent, framework: Framework, offer: Offer) -> Json:
    refined = framework.can(FrameworkCapability.RESERVATION_REFINEMENT)
    body: Json = {
        "id": {"value": offer.id},
        "framework_id": {"value": framework.id},
        "agent_id": {"value": agent.id},
        "hostname": agent.info.hostname,
        "url": {
            "scheme": "http",
            "address": {
                "hostname": agent.info.hostname,
                "ip": agent.pid.ip,
                "port": agent.pid.port,
            },
            "path": f"/{agent.pid.id}",
        },
        "resources": [
            to_json(r) for r in offer.resources.resources(role=offer.role, refined=refined)
        ],
        "allocation_info": {"role": offer.role},
    }
    if agent.info.attributes:
        body["attributes"] = [to_json(a) for a in agent.info.attributes]
    if agent.info.HasField("domain"):
        body["domain"] = to_json(agent.info.domain)
    if agent.executors:
        ids = [e for f, e in agent.executors if f == framework.id]
        body["executor_ids"] = [{"value": e} for e in ids]
    return body


def take(world: World, offer_id: str) -> None:
    """The offer is used up or declined."""
    del world.offers[offer_id]
    world.allocate_soon()


def refuse(
    world: World, framework: Framework, offer: Offer, resources: Bag, seconds: float
) -> None:
    """Do not offer ``resources`` (or less) of this agent again for ``seconds``."""
    if seconds <= 0 or not resources:
        return
    # A refusal is never shorter than a batch: the same would come back at once otherwise.
    seconds = min(max(seconds, world.options.allocation_interval), LONGEST_REFUSAL)
    key = (offer.agent_id, offer.role)
    framework.filters.setdefault(key, []).append(Filter(world.now + seconds, resources))
    due = world.now + seconds + 0.001
    world.timers["refused", framework.id] = min(
        due, world.timers.get(("refused", framework.id), due)
    )


def refusal_over(world: World, framework_id: FrameworkId) -> None:
    """A filter has expired: offer again, and look out for the next one."""
    framework = world.frameworks.get(framework_id)
    if framework is None:
        return
    later = [f.until for fs in framework.filters.values() for f in fs if f.until > world.now]
    if later:
        world.timers["refused", framework_id] = min(later) + 0.001
    allocate(world)


def rescind(world: World, offer: Offer) -> None:
    world.offers.pop(offer.id, None)
    framework = world.frameworks.get(offer.framework_id)
    if framework is not None:
        world.emit(framework, "RESCIND", {"offer_id": {"value": offer.id}})


def rescind_of_agent(world: World, agent: Agent) -> None:
    for offer in [o for o in world.offers.values() if o.agent_id == agent.id]:
        rescind(world, offer)


def drop_of_framework(world: World, framework: Framework) -> None:
    """The framework does not listen any more: its offers are free again."""
    for offer in [o for o in world.offers.values() if o.framework_id == framework.id]:
        take(world, offer.id)
