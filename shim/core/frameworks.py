"""Frameworks that have anything on this agent, exactly as the master last described them."""

from __future__ import annotations

from dataclasses import dataclass, field

from shim.core.context import Context
from shim.model.ids import FrameworkId, TaskKey
from shim.model.records import SaveFramework
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import FrameworkInfo, TaskState

_Capability = FrameworkInfo.Capability


@dataclass(slots=True)
class Framework:
    info: FrameworkInfo
    """As received, unknown fields included: it is echoed at re-registration."""
    pid: str
    keys: set[TaskKey] = field(default_factory=set)
    """Its tasks here, and tasks with updates still to be delivered."""

    def can(self, capability: _Capability.Type.ValueType) -> bool:
        return any(c.type == capability for c in self.info.capabilities)

    @property
    def partition_aware(self) -> bool:
        return self.can(_Capability.PARTITION_AWARE)

    @property
    def wants_killing(self) -> bool:
        return self.can(_Capability.TASK_KILLING_STATE)

    def lost(self, state: TaskState.ValueType) -> TaskState.ValueType:
        """``state`` for a framework that knows it (DROPPED, GONE, ...), else TASK_LOST."""
        return state if self.partition_aware else TaskState.TASK_LOST


class Frameworks:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.table: dict[FrameworkId, Framework] = {}

    def restore(self, values: dict[FrameworkId, bytes]) -> None:
        for framework_id, value in values.items():
            kept = journal_pb2.Framework.FromString(value)
            self.table[framework_id] = Framework(kept.info, kept.pid)

    def seen(self, info: FrameworkInfo, pid: str) -> Framework:
        """The framework as the master describes it now; durable when that is new."""
        framework_id = FrameworkId(info.id.value)
        known = self.table.get(framework_id)
        if known is None:
            known = self.table[framework_id] = Framework(info, pid)
        elif known.info == info and known.pid == pid:
            return known
        known.info, known.pid = info, pid
        kept = journal_pb2.Framework(info=info, pid=pid)
        self._ctx.record(SaveFramework(framework_id, kept.SerializeToString()))
        return known

    def release(self, key: TaskKey) -> None:
        """Nothing of the task is left here; the last one takes its framework with it."""
        framework = self.table.get(key.framework_id)
        if framework is None:
            return
        framework.keys.discard(key)
        if not framework.keys:
            del self.table[key.framework_id]
            self._ctx.record(SaveFramework(key.framework_id, None))
