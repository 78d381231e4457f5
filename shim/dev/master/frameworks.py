"""Frameworks: subscription, failover, teardown."""

from __future__ import annotations

from shim.dev.master import agent_messages, agent_validation, offers, tasks
from shim.dev.master.effects import CloseStream, SendEvent
from shim.dev.master.master_state import (
    KEPT_COMPLETED_FRAMEWORKS,
    VERSION,
    FrameworkCapability,
    MasterFramework,
    MasterState,
)
from shim.model.ids import FrameworkId
from shim.model.v1_json import Json, to_json
from shim.protos import mesos_pb2 as mesos


def master_info(master: MasterState) -> Json:
    """MasterInfo as v1 JSON, as in SUBSCRIBED and in the leader's znode."""
    quads = [int(part) for part in master.pid.ip.split(".")]
    domain = master.options.domain
    return {
        **({} if domain is None else {"domain": to_json(domain)}),
        "id": master.id,
        "ip": int.from_bytes(bytes(quads), "little"),
        "port": master.pid.port,
        "pid": str(master.pid),
        "hostname": master.hostname,
        "version": VERSION,
        "address": {"hostname": master.hostname, "ip": master.pid.ip, "port": master.pid.port},
        "capabilities": [
            {"type": "AGENT_UPDATE"},
            {"type": "AGENT_DRAINING"},
            {"type": "QUOTA_V2"},
        ],
    }


def refused(master: MasterState, info: mesos.FrameworkInfo) -> str | None:
    """Why a framework may not subscribe with this FrameworkInfo."""
    if FrameworkId(info.id.value) in master.completed:
        return "Framework has been removed"
    return agent_validation.invalid_framework(info)


def subscribe(
    master: MasterState, stream_id: str, info: mesos.FrameworkInfo, suppressed: set[str]
) -> None:
    """SUBSCRIBE of a new framework, of a failed-over one, or after a lost connection.

    An invalid FrameworkInfo is answered by an ERROR event, which ends the stream.
    """
    if reason := refused(master, info):
        _send_error(master, stream_id, reason)
        return
    framework_id = FrameworkId(info.id.value)
    if not framework_id:
        framework_id = FrameworkId(f"{master.id}-{next(master.framework_numbers):04}")
        info.id.value = framework_id
    framework = master.frameworks.get(framework_id)
    if framework is None:
        framework = MasterFramework(framework_id, info, master.now)
        master.frameworks[framework_id] = framework
    else:
        _fail_over(master, framework, info)
    framework.stream_id = stream_id
    framework.suppressed = suppressed
    master.send_event(
        framework,
        "SUBSCRIBED",
        {
            "framework_id": {"value": framework_id},
            "heartbeat_interval_seconds": master.options.heartbeat_interval,
            "master_info": master_info(master),
        },
    )
    send_heartbeat(master, framework_id)
    offers.allocate(master)


def _send_error(master: MasterState, stream_id: str, reason: str) -> None:
    master.out.append(SendEvent(stream_id, {"type": "ERROR", "error": {"message": reason}}))
    master.out.append(CloseStream(stream_id))


def _fail_over(master: MasterState, framework: MasterFramework, info: mesos.FrameworkInfo) -> None:
    if framework.stream_id is not None:
        _send_error(master, framework.stream_id, "Framework failed over")
    master.cancel_timer("failover", framework.id)
    offers.recover_framework_offers(master, framework)
    framework.filters.clear()
    framework.reregistered_at = master.now
    update(master, framework, info)


def update(master: MasterState, framework: MasterFramework, info: mesos.FrameworkInfo) -> None:
    """Adopt the FrameworkInfo, except for immutable fields, and send it to every agent."""
    kept = framework.info
    info.id.value = framework.id
    info.user = kept.user
    info.checkpoint = kept.checkpoint
    if kept.HasField("principal"):
        info.principal = kept.principal
    if not kept.HasField("checkpoint"):
        info.ClearField("checkpoint")
    framework.info = info
    for agent in master.agents.values():
        if agent.connected:
            master.send(agent, agent_messages.update_framework(framework))


def immutable_change(framework: MasterFramework, info: mesos.FrameworkInfo) -> str | None:
    """Why UPDATE_FRAMEWORK refuses this FrameworkInfo; None when it does not."""
    for name in ("user", "checkpoint", "principal"):
        if getattr(info, name) != getattr(framework.info, name):
            return f"'{name}' cannot be changed"
    before = framework.can(FrameworkCapability.MULTI_ROLE)
    after = any(c.type == FrameworkCapability.MULTI_ROLE for c in info.capabilities)
    return "MULTI_ROLE cannot be given up" if before and not after else None


def send_heartbeat(master: MasterState, framework_id: FrameworkId) -> None:
    framework = master.frameworks.get(framework_id)
    if framework is not None and framework.connected:
        master.send_event(framework, "HEARTBEAT")
        master.set_timer("heartbeat", framework_id, master.options.heartbeat_interval)


def disconnected(master: MasterState, stream_id: str) -> None:
    """A framework's stream ended: it may subscribe again within its failover timeout."""
    for framework in master.frameworks.values():
        if framework.stream_id == stream_id:
            framework.stream_id = None
            master.cancel_timer("heartbeat", framework.id)
            offers.recover_framework_offers(master, framework)
            master.set_timer("failover", framework.id, framework.info.failover_timeout)
            return


def failover_timed_out(master: MasterState, framework_id: FrameworkId) -> None:
    framework = master.frameworks.get(framework_id)
    if framework is not None and not framework.connected:
        remove(master, framework)


def remove(master: MasterState, framework: MasterFramework) -> None:
    """Tear the framework down: every agent kills its tasks and executors."""
    for agent in master.agents.values():
        if agent.connected:
            agent_messages.shutdown_framework(master, agent, framework.id)
    offers.recover_framework_offers(master, framework)
    for agent in master.agents.values():
        for entry in [e for k, e in agent.tasks.items() if k.framework_id == framework.id]:
            tasks.remove(master, agent, entry)
            if not entry.terminal:
                entry.task.state = mesos.TASK_KILLED
        for key in [k for k in agent.executors if k[0] == framework.id]:
            tasks.remove_executor(master, agent, key)
    if framework.stream_id is not None:
        master.out.append(CloseStream(framework.stream_id))
        framework.stream_id = None
    for kind in ("heartbeat", "failover", "offer_filters"):
        master.cancel_timer(kind, framework.id)
    framework.removed_at = master.now
    del master.frameworks[framework.id]
    master.completed[framework.id] = framework
    while len(master.completed) > KEPT_COMPLETED_FRAMEWORKS:
        del master.completed[next(iter(master.completed))]
