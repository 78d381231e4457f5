"""``/state``: the agent, its frameworks and their tasks, with the keys of a stock agent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any

from shim.core.history import CompletedTask
from shim.core.task import Task
from shim.http.amounts import Amount, attribute, by_role, endpoint_format
from shim.http.protojson import Json, to_json
from shim.http.task_json_cache import TaskJsonCache, dump
from shim.http.time_slicer import array
from shim.http.version import BUILD
from shim.http.view import Costs, View
from shim.model.capabilities import AGENT_CAPABILITIES
from shim.model.ids import FrameworkId
from shim.protos.mesos_pb2 import FrameworkInfo, Resource, SlaveInfo


class StatePage:
    def __init__(self, sources: View, fragments: TaskJsonCache) -> None:
        self._sources = sources
        self._agent = sources.agent
        self._fragments = fragments
        self._pacer = sources.pacer

    async def pieces(self) -> AsyncIterator[bytes]:
        """The whole page."""
        allocated = await self._fragments.allocated()
        yield dump(self._head(allocated))[:-1]
        live = self._live()
        frameworks, completed = self._agent.frameworks, self._agent.completed_frameworks
        known = {id_: frameworks[id_].info for id_ in live if id_ in frameworks}
        yield b',"frameworks":'
        async for piece in self._frameworks(known, live):
            yield piece
        gone = {id_: info for id_, info in completed.items() if id_ not in known}
        yield b',"completed_frameworks":'
        async for piece in self._frameworks(gone, {}):
            yield piece
        if self._sources.costs is not None:
            async for piece in self._paid(self._sources.costs):
                yield piece
        yield b"}"

    async def _paid(self, costs: Costs) -> AsyncIterator[bytes]:
        """Our own key: what the tasks cost."""
        yield b',"triton":%s,"tasks":' % dump(costs.state())[:-1]
        async for piece in array(map(dump, costs.tasks()), self._pacer.breather()):
            yield piece
        yield b"}"

    def _live(self) -> dict[FrameworkId, list[Task]]:
        found = defaultdict(list)
        for key, task in self._agent.tasks.items():
            found[key.framework_id].append(task)
        return found

    async def _frameworks(
        self, infos: dict[FrameworkId, FrameworkInfo], live: dict[FrameworkId, list[Task]]
    ) -> AsyncIterator[bytes]:
        between = b"["
        for framework_id, info in infos.items():
            yield between + dump(_framework(framework_id, info))[:-1]
            between = b","
            yield b',"executors":'
            tasks = live.get(framework_id, ())
            breather = self._pacer.breather()
            async for piece in array(map(self._fragments.of_live, tasks), breather):
                yield piece
            yield b',"completed_executors":'
            ended = map(self._fragments.of_completed, self._ended(framework_id))
            async for piece in array(ended, breather):
                yield piece
            yield b"}"
        yield b"]" if between == b"," else b"[]"

    def _ended(self, framework_id: FrameworkId) -> Iterable[CompletedTask]:
        """Those that are not among the live ones, waiting for their acknowledgement."""
        for found in self._agent.completed_tasks(framework_id):
            task = self._agent.tasks.get(found.ref.key)
            if task is None or task.ref != found.ref:
                yield found

    def _head(self, allocated: Amount) -> Json:
        agent, sources = self._agent, self._sources
        info = agent.info
        body: Json = {
            "version": agent.version,
            **BUILD,
            "start_time": sources.started,
            "id": agent.agent_id or "",
            "pid": str(agent.pid),
            "hostname": info.hostname,
            "capabilities": [SlaveInfo.Capability.Type.Name(kind) for kind in AGENT_CAPABILITIES],
        }
        if info.HasField("domain"):
            body["domain"] = to_json(info.domain)
        if agent.drain_config is not None:
            body["drain_config"] = to_json(agent.drain_config)
        body.update(resource_keys(info.resources, agent.checkpointed_resources))
        # Tasks run without an executor of their own: nothing else is in use.
        body["reserved_resources_allocated"] = {}
        body["unreserved_resources_allocated"] = allocated.json()
        body["resource_providers"] = []
        body["attributes"] = {found.name: attribute(found) for found in info.attributes}
        if agent.master is not None:
            body["master_hostname"] = agent.master.ip
        body["external_log_file"] = "stderr"
        body["flags"] = dict(sources.flags)
        return body


def resource_keys(total: Iterable[Resource], checkpointed: Iterable[Resource]) -> Json:
    """``resources`` and how it is divided among roles.

    A dynamic reservation takes its amount out of what is not reserved.
    """
    static, dynamic = by_role(total), by_role(checkpointed)
    unreserved = list(static.get("*", ()))
    free = Amount(unreserved)
    for role, resources in dynamic.items():
        for name, value in Amount(resources).scalars.items() if role != "*" else ():
            free.scalars[name] = free.scalars.get(name, 0.0) - value
    reserved = {
        role: [*static.get(role, ()), *dynamic.get(role, ())]
        for role in dict.fromkeys((*static, *dynamic))
        if role != "*"
    }
    return {
        "resources": Amount(resource for found in static.values() for resource in found).json(),
        "reserved_resources": {role: Amount(found).json() for role, found in reserved.items()},
        "unreserved_resources": free.json(),
        "reserved_resources_full": {
            role: [endpoint_format(resource) for resource in found]
            for role, found in reserved.items()
        },
        "unreserved_resources_full": [
            _left(endpoint_format(resource), free) for resource in unreserved
        ],
    }


def _left(resource: Json, free: Amount) -> Json:
    """What dynamic reservations left of it."""
    if "scalar" in resource:
        resource["scalar"] = {"value": free.scalars[resource["name"]]}
    return resource


def _framework(framework_id: FrameworkId, info: FrameworkInfo) -> dict[str, Any]:
    body: Json = {
        "id": framework_id,
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout,
        "checkpoint": info.checkpoint,
        "hostname": info.hostname,
    }
    if info.HasField("principal"):
        body["principal"] = info.principal
    if any(c.type == FrameworkInfo.Capability.MULTI_ROLE for c in info.capabilities):
        body["roles"] = list(info.roles)
    else:
        body["role"] = info.role
    return body
