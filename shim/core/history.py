"""Tasks that ended, for people to look at. Bounded; not durable."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

from shim import limits
from shim.core.task import Task
from shim.model.container import Ref
from shim.model.ids import FrameworkId
from shim.protos.mesos_pb2 import FrameworkInfo, TaskInfo, TaskState
from shim.protos.mesos_pb2 import Task as WireTask


@dataclass(frozen=True, slots=True)
class CompletedTask:
    ref: Ref
    info: TaskInfo
    wire: WireTask
    accepted: float
    ended: float


class History:
    """The newest tasks of the frameworks that last had one end here."""

    def __init__(self) -> None:
        self._frameworks: OrderedDict[FrameworkId, deque[CompletedTask]] = OrderedDict()
        self._infos: dict[FrameworkId, FrameworkInfo] = {}
        self.totals: Counter[TaskState.ValueType] = Counter()
        """Tasks that ended in this life of the process, by their state."""

    def ended(self, task: Task, framework: FrameworkInfo, at: float) -> None:
        framework_id = task.key.framework_id
        tasks = self._frameworks.setdefault(framework_id, deque(maxlen=limits.COMPLETED_TASKS))
        self._frameworks.move_to_end(framework_id)
        tasks.append(CompletedTask(task.ref, task.info, task.wire, task.accepted, at))
        self._infos[framework_id] = framework
        self.totals[task.wire.state] += 1
        while len(self._frameworks) > limits.COMPLETED_FRAMEWORKS:
            forgotten, _ = self._frameworks.popitem(last=False)
            del self._infos[forgotten]

    def of(self, framework_id: FrameworkId) -> list[CompletedTask]:
        return list(self._frameworks.get(framework_id, ()))

    def frameworks(self) -> dict[FrameworkId, FrameworkInfo]:
        """As the master last described them."""
        return dict(self._infos)
