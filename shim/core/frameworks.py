"""Frameworks with tasks or updates on this agent, exactly as the master last described them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shim.core.context import Context
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, Pid, TaskKey
from shim.model.records import DropFramework, SaveFramework
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import FrameworkInfo, TaskState

_Capability = FrameworkInfo.Capability


@dataclass(slots=True)
class Framework:
    info: FrameworkInfo
    """As received, unknown fields included: re-registration sends it back."""
    pid: str
    task_keys: set[TaskKey] = field(default_factory=set)
    """Its tasks here, and its rejected tasks with an unacknowledged update."""
    executor_ids: set[ExecutorId] = field(default_factory=set)
    """Its executors here that have a record of their own."""

    @property
    def scheduler(self) -> Pid | None:
        """The address of a v0 scheduler; None for one that subscribed over HTTP."""
        try:
            pid = Pid.parse(self.pid)
        except ValueError:
            return None
        return pid if pid.id and pid.port and pid.ip != "0.0.0.0" else None

    def has(self, capability: _Capability.Type.ValueType) -> bool:
        return any(c.type == capability for c in self.info.capabilities)

    @property
    def partition_aware(self) -> bool:
        return self.has(_Capability.PARTITION_AWARE)

    @property
    def wants_killing(self) -> bool:
        """Whether it is sent TASK_KILLING."""
        return self.has(_Capability.TASK_KILLING_STATE)

    def state_or_lost(self, state: TaskState.ValueType) -> TaskState.ValueType:
        """``state`` (DROPPED, GONE, ...) for a partition-aware framework, else TASK_LOST."""
        return state if self.partition_aware else TaskState.TASK_LOST


class Frameworks:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.table: dict[FrameworkId, Framework] = {}

    def restore(self, frameworks: Mapping[FrameworkId, journal_pb2.Framework]) -> None:
        for framework_id, saved in frameworks.items():
            self.table[framework_id] = Framework(saved.info, saved.pid)

    def update(self, info: FrameworkInfo, pid: str) -> Framework:
        """The framework as the master describes it now; recorded only when it changed."""
        framework_id = FrameworkId(info.id.value)
        known = self.table.get(framework_id)
        if known is None:
            known = self.table[framework_id] = Framework(info, pid)
        elif known.info == info and known.pid == pid:
            return known
        known.info, known.pid = info, pid
        saved = journal_pb2.Framework(info=info, pid=pid)
        self._ctx.record(SaveFramework(framework_id, saved))
        return known

    def release(self, key: TaskKey) -> None:
        """The task has no record and no pending update left."""
        framework = self.table.get(key.framework_id)
        if framework is not None:
            framework.task_keys.discard(key)
            self._forget_unused(key.framework_id, framework)

    def release_executor(self, key: ExecutorKey) -> None:
        """The executor has no record left."""
        framework = self.table.get(key.framework_id)
        if framework is not None:
            framework.executor_ids.discard(key.executor_id)
            self._forget_unused(key.framework_id, framework)

    def _forget_unused(self, framework_id: FrameworkId, framework: Framework) -> None:
        """A framework is forgotten with its last task and its last executor."""
        if not framework.task_keys and not framework.executor_ids:
            del self.table[framework_id]
            self._ctx.record(DropFramework(framework_id))
