"""``/state``: the agent, its frameworks and their tasks, with the keys of a stock agent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

from shim.core.task import Task
from shim.http.amounts import Amount, attribute_value, by_role, endpoint_format
from shim.http.pods import ExecutorEntries
from shim.http.protojson import Json, dump, to_json
from shim.http.task_json_cache import TaskJsonCache
from shim.http.time_slicer import json_array
from shim.http.view import BUILD, Billing, View
from shim.model.ids import FrameworkId
from shim.model.resource_sets import Resources, without_dynamic
from shim.protos.mesos_pb2 import FrameworkInfo, Resource, SlaveInfo


class StatePage:
    def __init__(self, view: View, cache: TaskJsonCache) -> None:
        self._view = view
        self._agent = view.agent
        self._cache = cache
        self._executors = ExecutorEntries(view.agent, cache, view.work_dir)
        self._time_slicer = view.time_slicer

    async def pieces(self) -> AsyncIterator[bytes]:
        """The whole page, in pieces whose concatenation is one JSON object."""
        allocated = await self._cache.allocated()
        yield dump(self._agent_json(allocated))[:-1]
        tasks = await self._tasks_by_framework()
        frameworks, completed = self._agent.frameworks, self._agent.completed_frameworks
        active = {id_: frameworks[id_].info for id_ in tasks if id_ in frameworks}
        yield b',"frameworks":'
        async for piece in self._frameworks(active, tasks):
            yield piece
        inactive = {id_: info for id_, info in completed.items() if id_ not in active}
        yield b',"completed_frameworks":'
        async for piece in self._frameworks(inactive, {}):
            yield piece
        if self._view.billing is not None:
            async for piece in self._triton(self._view.billing):
                yield piece
        yield b"}"

    async def _triton(self, billing: Billing) -> AsyncIterator[bytes]:
        """The key ``triton``, which a stock agent does not have: cost."""
        yield b',"triton":%s,"tasks":' % dump(billing.state())[:-1]
        async for piece in json_array(map(dump, billing.tasks()), self._time_slicer.begin()):
            yield piece
        yield b"}"

    async def _tasks_by_framework(self) -> dict[FrameworkId, list[Task]]:
        found, time_slice = defaultdict(list), self._time_slicer.begin()
        for key, task in list(self._agent.tasks.items()):
            await time_slice.checkpoint()
            found[key.framework_id].append(task)
        for executor_key, executor in self._agent.custom_executors.items():
            if executor.live:
                # It may have no task.
                found.setdefault(executor_key.framework_id, [])
        return found

    async def _frameworks(
        self, infos: dict[FrameworkId, FrameworkInfo], tasks: dict[FrameworkId, list[Task]]
    ) -> AsyncIterator[bytes]:
        separator = b"["
        for framework_id, info in infos.items():
            yield separator + dump(_framework(framework_id, info))[:-1]
            separator = b","
            yield b',"executors":'
            time_slice = self._time_slicer.begin()
            present = tasks.get(framework_id, ())
            executors = self._executors.present(framework_id, present, time_slice)
            async for piece in json_array(executors, time_slice):
                yield piece
            yield b',"completed_executors":'
            completed = self._executors.completed(framework_id, time_slice)
            async for piece in json_array(completed, time_slice):
                yield piece
            yield b"}"
        yield b"]" if separator == b"," else b"[]"

    def _agent_json(self, allocated: Amount) -> Json:
        agent = self._agent
        info = agent.info
        body: Json = {
            "version": agent.version,
            **BUILD,
            "start_time": self._view.started,
            "id": agent.agent_id or "",
            "pid": str(agent.pid),
            "hostname": info.hostname,
            "capabilities": [SlaveInfo.Capability.Type.Name(kind) for kind in agent.capabilities],
        }
        if info.HasField("domain"):
            body["domain"] = to_json(info.domain)
        if agent.drain_config is not None:
            body["drain_config"] = to_json(agent.drain_config)
        body.update(resource_keys(info.resources, agent.checkpointed_resources))
        body["reserved_resources_allocated"] = {}
        body["unreserved_resources_allocated"] = allocated.json()
        body["resource_providers"] = []
        body["attributes"] = {each.name: attribute_value(each) for each in info.attributes}
        if agent.master is not None:
            body["master_hostname"] = agent.master.ip
        body["external_log_file"] = "stderr"
        body["flags"] = dict(self._view.flags)
        return body


def resource_keys(total: Sequence[Resource], checkpointed: Sequence[Resource]) -> Json:
    """``resources`` and the keys that divide it among roles.

    ``total`` is what the agent registers with. ``checkpointed`` are dynamic reservations and
    volumes, which stand in place of the unreserved or statically reserved resources below them.
    """
    below = Resources.of(map(without_dynamic, checkpointed))
    present = Resources.of(total) - below + Resources.of(checkpointed)
    divided = by_role(present.resources())
    reserved = {role: found for role, found in divided.items() if role != "*"}
    unreserved = divided.get("*", ())
    return {
        "resources": Amount(total).json(),
        "reserved_resources": {role: Amount(found).json() for role, found in reserved.items()},
        "unreserved_resources": Amount(unreserved).json(),
        "reserved_resources_full": {
            role: [endpoint_format(resource) for resource in found]
            for role, found in reserved.items()
        },
        "unreserved_resources_full": [endpoint_format(resource) for resource in unreserved],
    }


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
