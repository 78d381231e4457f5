"""Frameworks: subscribing, failing over, going away."""

from __future__ import annotations

from shim.dev.master import admission, offers, tasks, tell
from shim.dev.master.effects import CloseStream, Emit
from shim.dev.master.state import (
    KEPT_COMPLETED_FRAMEWORKS,
    VERSION,
    Framework,
    FrameworkCapability,
    World,
)
from shim.dev.master.v1json import Json, to_json
from shim.model.ids import FrameworkId
from shim.protos import mesos_pb2 as mesos


def master_info(world: World) -> Json:
    """The master about itself, as in SUBSCRIBED and in the leader's znode."""
    quads = [int(part) for part in world.pid.ip.split(".")]
    domain = world.options.domain
    return {
        **({} if domain is None else {"domain": to_json(domain)}),
        "id": world.id,
        "ip": int.from_bytes(bytes(quads), "little"),
        "port": world.pid.port,
        "pid": str(world.pid),
        "hostname": world.hostname,
        "version": VERSION,
        "address": {"hostname": world.hostname, "ip": world.pid.ip, "port": world.pid.port},
        "capabilities": [
            {"type": "AGENT_UPDATE"},
            {"type": "AGENT_DRAINING"},
            {"type": "QUOTA_V2"},
        ],
    }


def refused(world: World, info: mesos.FrameworkInfo) -> str | None:
    """Why a framework may not subscribe with this FrameworkInfo."""
    if FrameworkId(info.id.value) in world.completed:
        return "Framework has been removed"
    return admission.refused_framework(info)


def subscribe(
    world: World, stream_id: str, info: mesos.FrameworkInfo, suppressed: set[str]
) -> None:
    """A new framework, a failed-over one, or one that lost its connection.

    What is wrong with it is told on the stream, which then ends.
    """
    if reason := refused(world, info):
        _dismiss(world, stream_id, reason)
        return
    framework_id = FrameworkId(info.id.value)
    if not framework_id:
        framework_id = FrameworkId(f"{world.id}-{next(world.framework_numbers):04}")
        info.id.value = framework_id
    framework = world.frameworks.get(framework_id)
    if framework is None:
        framework = Framework(framework_id, info, world.now)
        world.frameworks[framework_id] = framework
    else:
        _come_back(world, framework, info)
    framework.stream_id = stream_id
    framework.suppressed = suppressed
    world.emit(
        framework,
        "SUBSCRIBED",
        {
            "framework_id": {"value": framework_id},
            "heartbeat_interval_seconds": world.options.heartbeat_interval,
            "master_info": master_info(world),
        },
    )
    heartbeat_due(world, framework_id)
    offers.allocate(world)


def _dismiss(world: World, stream_id: str, reason: str) -> None:
    world.out.append(Emit(stream_id, {"type": "ERROR", "error": {"message": reason}}))
    world.out.append(CloseStream(stream_id))


def _come_back(world: World, framework: Framework, info: mesos.FrameworkInfo) -> None:
    if framework.stream_id is not None:
        _dismiss(world, framework.stream_id, "Framework failed over")
    world.stop_timer("failover", framework.id)
    offers.drop_of_framework(world, framework)
    framework.filters.clear()
    framework.reregistered_at = world.now
    update(world, framework, info)


def update(world: World, framework: Framework, info: mesos.FrameworkInfo) -> None:
    """Take the new FrameworkInfo over (what may not change stays), and tell every agent."""
    kept = framework.info
    info.id.value = framework.id
    info.user = kept.user
    info.checkpoint = kept.checkpoint
    if kept.HasField("principal"):
        info.principal = kept.principal
    if not kept.HasField("checkpoint"):
        info.ClearField("checkpoint")
    framework.info = info
    for agent in world.agents.values():
        if agent.connected:
            world.tell(agent, tell.update_framework(framework))


def changed_for_good(framework: Framework, info: mesos.FrameworkInfo) -> str | None:
    """What UPDATE_FRAMEWORK refuses to change."""
    for name in ("user", "checkpoint", "principal"):
        if getattr(info, name) != getattr(framework.info, name):
            return f"'{name}' cannot be changed"
    before = framework.can(FrameworkCapability.MULTI_ROLE)
    after = any(c.type == FrameworkCapability.MULTI_ROLE for c in info.capabilities)
    return "MULTI_ROLE cannot be given up" if before and not after else None


def heartbeat_due(world: World, framework_id: FrameworkId) -> None:
    framework = world.frameworks.get(framework_id)
    if framework is not None and framework.connected:
        world.emit(framework, "HEARTBEAT")
        world.timer("heartbeat", framework_id, world.options.heartbeat_interval)


def stream_lost(world: World, stream_id: str) -> None:
    """A framework's connection ended: it has its failover timeout to come back."""
    for framework in world.frameworks.values():
        if framework.stream_id == stream_id:
            framework.stream_id = None
            world.stop_timer("heartbeat", framework.id)
            offers.drop_of_framework(world, framework)
            world.timer("failover", framework.id, framework.info.failover_timeout)
            return


def failover_overdue(world: World, framework_id: FrameworkId) -> None:
    framework = world.frameworks.get(framework_id)
    if framework is not None and not framework.connected:
        remove(world, framework)


def remove(world: World, framework: Framework) -> None:
    """The framework is gone for good: every agent kills what it ran."""
    for agent in world.agents.values():
        if agent.connected:
            tell.shutdown_framework(world, agent, framework.id)
    offers.drop_of_framework(world, framework)
    for agent in world.agents.values():
        for entry in [e for k, e in agent.tasks.items() if k.framework_id == framework.id]:
            tasks.remove(world, agent, entry)
            if not entry.terminal:
                entry.task.state = mesos.TASK_KILLED
        for key in [k for k in agent.executors if k[0] == framework.id]:
            tasks.remove_executor(world, agent, key)
    if framework.stream_id is not None:
        world.out.append(CloseStream(framework.stream_id))
        framework.stream_id = None
    for kind in ("heartbeat", "failover", "refused"):
        world.stop_timer(kind, framework.id)
    framework.removed_at = world.now
    del world.frameworks[framework.id]
    world.completed[framework.id] = framework
    while len(world.completed) > KEPT_COMPLETED_FRAMEWORKS:
        del world.completed[next(iter(world.completed))]
