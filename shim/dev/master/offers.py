"""The allocator. One offer holds everything that an agent has available for a role."""

from __future__ import annotations

from collections.abc import Iterator

from shim.dev.master.master_state import (
    Agent,
    AgentCapability,
    Filter,
    FrameworkCapability,
    MasterFramework,
    MasterState,
    Offer,
)
from shim.model.ids import FrameworkId
from shim.model.resource_sets import Resources
from shim.model.v1_json import Json, to_json

DEFAULT_REFUSE_SECONDS = 5.0
LONGEST_REFUSAL = 365 * 24 * 3600.0
"""Seconds. A master shortens a longer ``refuse_seconds`` to this."""

MIN_CPUS = 0.01
MIN_MEM = 32.0
"""Mesos offers nothing when both cpus and mem are below these minima."""


def allocate(master: MasterState) -> None:
    """Offer all available resources to the frameworks that want them."""
    for agent in master.agents.values():
        if not agent.active:
            continue
        for framework, role in _candidates(master, agent):
            _offer(master, agent, framework, role)


def _candidates(master: MasterState, agent: Agent) -> Iterator[tuple[MasterFramework, str]]:
    """Connected frameworks with their roles, the smallest dominant share first."""
    candidates = [f for f in master.frameworks.values() if f.connected and _can_use(f, agent)]
    if len(candidates) > 1:
        candidates.sort(key=lambda f: _dominant_share(master, f))
    for framework in candidates:
        for role in sorted(framework.roles - framework.suppressed):
            if "/" not in role or agent.can(AgentCapability.HIERARCHICAL_ROLE):
                yield framework, role


def _can_use(framework: MasterFramework, agent: Agent) -> bool:
    multi = framework.can(FrameworkCapability.MULTI_ROLE)
    if multi and not agent.can(AgentCapability.MULTI_ROLE):
        return False
    gpus = agent.total.scalar("gpus") > 0
    return not gpus or framework.can(FrameworkCapability.GPU_RESOURCES)


def _dominant_share(master: MasterState, framework: MasterFramework) -> tuple[float, float]:
    held = sum(
        (entry.resources for entry in framework.tasks.values() if not entry.terminal), Resources()
    )
    for offer in master.offers.values():
        if offer.framework_id == framework.id:
            held += offer.resources
    cpus = sum(a.total.scalar("cpus") for a in master.agents.values()) or 1
    mem = sum(a.total.scalar("mem") for a in master.agents.values()) or 1
    return max(held.scalar("cpus") / cpus, held.scalar("mem") / mem), framework.registered_at


def available(master: MasterState, agent: Agent) -> Resources:
    """The resources that are neither used nor offered; shared volumes in any case."""
    free = agent.total - agent.used.exclusive()
    for offer in master.offers.values():
        if offer.agent_id == agent.id:
            free -= offer.resources.exclusive()
    return free


def ancestors(role: str) -> frozenset[str]:
    """Role ``a/b/c`` may also use reservations for ``a/b`` and ``a``."""
    parts = role.split("/")
    return frozenset("/".join(parts[: n + 1]) for n in range(len(parts)))


def _offer(master: MasterState, agent: Agent, framework: MasterFramework, role: str) -> None:
    resources = available(master, agent).for_roles(ancestors(role))
    if not framework.can(FrameworkCapability.RESERVATION_REFINEMENT):
        resources = resources.without_refined()
    if not framework.can(FrameworkCapability.SHARED_RESOURCES):
        resources = resources.exclusive()
    if not _is_allocatable(resources) or _filtered(master, agent, framework, role, resources):
        return
    offer = Offer(
        id=f"{master.id}-O{next(master.offer_numbers)}",
        framework_id=framework.id,
        agent_id=agent.id,
        role=role,
        resources=resources,
    )
    master.offers[offer.id] = offer
    master.send_event(framework, "OFFERS", {"offers": [_json(agent, framework, offer)]})


def _is_allocatable(resources: Resources) -> bool:
    return resources.scalar("cpus") >= MIN_CPUS or resources.scalar("mem") >= MIN_MEM


def _filtered(
    master: MasterState, agent: Agent, framework: MasterFramework, role: str, resources: Resources
) -> bool:
    filters = [f for f in framework.filters.get((agent.id, role), ()) if f.until > master.now]
    framework.filters[agent.id, role] = filters
    return any(f.resources.contains(resources) for f in filters)


def _json(agent: Agent, framework: MasterFramework, offer: Offer) -> Json:
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


def remove(master: MasterState, offer_id: str) -> None:
    """The offer is accepted or declined. Its resources are allocated again soon."""
    del master.offers[offer_id]
    master.schedule_allocation()


def add_filter(
    master: MasterState,
    framework: MasterFramework,
    offer: Offer,
    resources: Resources,
    seconds: float,
) -> None:
    """Filter: for ``seconds`` the agent's ``resources``, or a part of them, are not offered."""
    if seconds <= 0 or not resources:
        return
    # As in Mesos a filter lasts at least one allocation interval.
    seconds = min(max(seconds, master.options.allocation_interval), LONGEST_REFUSAL)
    key = (offer.agent_id, offer.role)
    framework.filters.setdefault(key, []).append(Filter(master.now + seconds, resources))
    due = master.now + seconds + 0.001
    master.timers["offer_filters", framework.id] = min(
        due, master.timers.get(("offer_filters", framework.id), due)
    )


def filter_expired(master: MasterState, framework_id: FrameworkId) -> None:
    """A filter has expired: allocate, and set the timer of the next filter."""
    framework = master.frameworks.get(framework_id)
    if framework is None:
        return
    later = [f.until for fs in framework.filters.values() for f in fs if f.until > master.now]
    if later:
        master.timers["offer_filters", framework_id] = min(later) + 0.001
    allocate(master)


def rescind(master: MasterState, offer: Offer) -> None:
    master.offers.pop(offer.id, None)
    framework = master.frameworks.get(offer.framework_id)
    if framework is not None:
        master.send_event(framework, "RESCIND", {"offer_id": {"value": offer.id}})


def rescind_agent_offers(master: MasterState, agent: Agent) -> None:
    for offer in [o for o in master.offers.values() if o.agent_id == agent.id]:
        rescind(master, offer)


def recover_framework_offers(master: MasterState, framework: MasterFramework) -> None:
    """The framework is disconnected: its offers become available again."""
    for offer in [o for o in master.offers.values() if o.framework_id == framework.id]:
        remove(master, offer.id)
