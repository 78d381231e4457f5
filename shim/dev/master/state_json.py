"""JSON of ``/state``, ``/slaves``, ``/frameworks`` and ``/tasks``, with a master's keys.

The pages are made in slices of the event loop's time: agents are pinged from the same loop.
"""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

from google.protobuf.message import Message

from shim.dev.master.master_state import (
    VERSION,
    Agent,
    AgentCapability,
    MasterFramework,
    MasterState,
    TaskEntry,
)
from shim.http.protojson import dump
from shim.http.time_slicer import ArrayItem, TimeSlice, json_tree
from shim.model.ids import FrameworkId, TaskId
from shim.model.resource_sets import Resources
from shim.model.v1_json import Json, to_json
from shim.protos import mesos_pb2 as mesos

_SCALARS = ("cpus", "gpus", "mem", "disk")


def _wire_names(message: Message) -> Json:
    """JSON with v0 names: these endpoints say ``slave_id`` instead of ``agent_id``."""
    return {k.replace("agent_id", "slave_id"): v for k, v in to_json(message).items()}


def resources_json(bag: Resources) -> Json:
    """Totals by name; ``ports`` as a text of ranges."""
    body: Json = {name: bag.scalar(name) for name in _SCALARS}
    for resource in bag.resources():
        if resource.HasField("ranges"):
            spans = ", ".join(f"{r.begin}-{r.end}" for r in resource.ranges.range)
            body[resource.name] = f"[{spans}]"
    return body


def task_json(task: mesos.Task) -> Json:
    body: Json = {
        "id": task.task_id.value,
        "name": task.name,
        "framework_id": task.framework_id.value,
        "executor_id": task.executor_id.value,
        "slave_id": task.slave_id.value,
        "state": mesos.TaskState.Name(task.state),
        "resources": resources_json(Resources.of(task.resources)),
        "role": task.resources[0].allocation_info.role if task.resources else "*",
        "statuses": [_status(status) for status in task.statuses],
    }
    for name in ("discovery", "container", "health_check"):
        if task.HasField(name):
            body[name] = to_json(getattr(task, name))
    if task.HasField("labels"):
        body["labels"] = [to_json(label) for label in task.labels.labels]
    return body


def _status(status: mesos.TaskStatus) -> Json:
    body: Json = {"state": mesos.TaskState.Name(status.state), "timestamp": status.timestamp}
    for name in ("container_status", "labels"):
        if status.HasField(name):
            body[name] = to_json(getattr(status, name))
    if status.HasField("healthy"):
        body["healthy"] = status.healthy
    return body


def agent_json(master: MasterState, agent: Agent) -> Json:
    offered = sum(
        (o.resources for o in master.offers.values() if o.agent_id == agent.id), Resources()
    )
    body: Json = {
        "id": agent.id,
        "pid": str(agent.pid),
        "hostname": agent.info.hostname,
        "port": agent.info.port,
        "version": agent.version,
        "active": agent.active,
        "connected": agent.connected,
        "deactivated": agent.deactivated,
        "registered_time": agent.registered_at,
        "resources": resources_json(agent.total),
        "used_resources": resources_json(agent.used),
        "offered_resources": resources_json(offered),
        "attributes": {a.name: _attribute(a) for a in agent.info.attributes},
        "capabilities": sorted(AgentCapability.Type.Name(c) for c in _known(agent)),
        "checkpointed_resources": [_wire_names(r) for r in agent.checkpointed.resources()],
    }
    if agent.reregistered_at is not None:
        body["reregistered_time"] = agent.reregistered_at
    if agent.drain is not None:
        state = "DRAINED" if agent.drain.drained else "DRAINING"
        body["drain_info"] = {"state": state, "config": to_json(agent.drain.config)}
    return body


def _known(agent: Agent) -> list[AgentCapability.Type.ValueType]:
    return [c for c in AgentCapability.Type.values() if c in agent.capabilities]


def _attribute(attribute: mesos.Attribute) -> object:
    if attribute.HasField("scalar"):
        return attribute.scalar.value
    if attribute.HasField("ranges"):
        return "[" + ", ".join(f"{r.begin}-{r.end}" for r in attribute.ranges.range) + "]"
    return attribute.text.value


def _tasks(tasks: Iterable[mesos.Task]) -> Iterator[bytes]:
    return (dump(task_json(task)) for task in list(tasks))


def _entries(entries: Mapping[TaskId, TaskEntry]) -> Iterator[bytes]:
    return _tasks(entry.task for entry in entries.values())


async def _used(framework: MasterFramework, time_slice: TimeSlice) -> Resources:
    used = Resources()
    for entry in list(framework.tasks.values()):
        await time_slice.checkpoint()
        if not entry.terminal:
            used += entry.resources
    return used


async def framework_json(
    master: MasterState, framework: MasterFramework, time_slice: TimeSlice
) -> AsyncIterator[bytes]:
    info = framework.info
    used = await _used(framework, time_slice)
    offered = sum(
        (o.resources for o in master.offers.values() if o.framework_id == framework.id), Resources()
    )
    body: Json = {
        "id": framework.id,
        "name": info.name,
        "user": info.user,
        "hostname": info.hostname,
        "webui_url": info.webui_url,
        "failover_timeout": info.failover_timeout,
        "checkpoint": info.checkpoint,
        "capabilities": [
            mesos.FrameworkInfo.Capability.Type.Name(c.type) for c in info.capabilities
        ],
        "active": framework.connected,
        "connected": framework.connected,
        "recovered": framework.stream_id is None and framework.reregistered_at is None,
        "registered_time": framework.registered_at,
        "used_resources": resources_json(used),
        "offered_resources": resources_json(offered),
        "resources": resources_json(used + offered),
        "tasks": _entries(framework.tasks),
        "unreachable_tasks": _entries(framework.unreachable_tasks),
        "completed_tasks": _tasks(framework.completed_tasks),
        "executors": [],
    }
    body["roles" if info.roles else "role"] = list(info.roles) if info.roles else info.role
    if framework.removed_at is not None:
        body["unregistered_time"] = framework.removed_at
    async for piece in json_tree(body, time_slice):
        yield piece


def _frameworks(
    master: MasterState, found: Mapping[FrameworkId, MasterFramework], time_slice: TimeSlice
) -> Iterator[ArrayItem]:
    return (framework_json(master, each, time_slice) for each in list(found.values()))


def state(master: MasterState, time_slice: TimeSlice) -> Json:
    """``/state``, plus ``refusals`` (dropped messages) and ``aborted`` for tests."""
    return {
        "id": master.id,
        "pid": str(master.pid),
        "hostname": master.hostname,
        "version": VERSION,
        "start_time": master.started_at,
        "elected_time": master.started_at,
        "leader": str(master.pid),
        "leader_info": _leader(master),
        "cluster": "mesos-shim development master: not for production",
        "activated_slaves": sum(a.active for a in master.agents.values()),
        "deactivated_slaves": sum(not a.active for a in master.agents.values()),
        "unreachable_slaves": len(master.registry.unreachable),
        "slaves": [agent_json(master, agent) for agent in master.agents.values()],
        "recovered_slaves": [{"id": i} for i in master.recovered],
        "frameworks": _frameworks(master, master.frameworks, time_slice),
        "completed_frameworks": _frameworks(master, master.completed, time_slice),
        "unregistered_frameworks": [],
        "orphan_tasks": [],
        "flags": {},
        "refusals": [
            {"at": r.at, "sender": r.sender, "message": r.message, "reason": r.reason}
            for r in master.dropped
        ],
        "aborted": master.aborted,
    }


def _leader(master: MasterState) -> Json:
    return {
        "id": master.id,
        "pid": str(master.pid),
        "hostname": master.hostname,
        "port": master.pid.port,
    }


def slaves(master: MasterState, time_slice: TimeSlice) -> Json:
    return {
        "slaves": [agent_json(master, agent) for agent in master.agents.values()],
        "recovered_slaves": [{"id": i} for i in master.recovered],
    }


def frameworks(master: MasterState, time_slice: TimeSlice) -> Json:
    return {
        "frameworks": _frameworks(master, master.frameworks, time_slice),
        "completed_frameworks": _frameworks(master, master.completed, time_slice),
        "unregistered_frameworks": [],
    }


def tasks(master: MasterState, time_slice: TimeSlice) -> Json:
    known = [e.task for f in master.frameworks.values() for e in f.tasks.values()]
    done = [t for f in master.frameworks.values() for t in f.completed_tasks]
    removed = [t for f in master.completed.values() for t in f.completed_tasks]
    return {"tasks": _tasks([*known, *done, *removed])}


def home(pages: Mapping[str, str]) -> str:
    """The page ``/``: addresses of the agents' live pages -> their hostnames."""
    links = (
        f'<li><a href="{html.escape(url)}">{html.escape(hostname)}</a></li>\n'
        for url, hostname in pages.items()
    )
    return f"{_HOME}<h2>Agents</h2>\n<ul>{''.join(links)}</ul>\n" if pages else _HOME


_HOME = """<!doctype html>
<title>mesos-shim development master - NOT FOR PRODUCTION</title>
<h1>Embedded Mesos master for development</h1>
<p>For laptops and tests, never for production: point the agent at a real master there.</p>
<ul><li><a href="/state">state</a></li><li><a href="/slaves">agents</a></li>
<li><a href="/frameworks">frameworks</a></li><li><a href="/tasks">tasks</a></li>
<li><a href="/health">health</a></li></ul>
"""
