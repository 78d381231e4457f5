"""Tasks that ended, for people to look at. Bounded; not durable."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from shim import limits
from shim.core.task import Task
from shim.model.container import Ref
from shim.model.ids import FrameworkId
from shim.protos.mesos_pb2 import Task as WireTask


@dataclass(frozen=True, slots=True)
class Completed:
    ref: Ref
    wire: WireTask
    accepted: float
    ended: float


class History:
    """The newest tasks of the frameworks that last had one end here."""

    def __init__(self) -> None:
        self._frameworks: OrderedDict[FrameworkId, deque[Completed]] = OrderedDict()

    def ended(self, task: Task, at: float) -> None:
        framework_id = task.key.framework_id
        tasks = self._frameworks.setdefault(framework_id, deque(maxlen=limits.COMPLETED_TASKS))
        self._frameworks.move_to_end(framework_id)
        tasks.append(Completed(task.ref, task.wire, task.accepted, at))
        while len(self._frameworks) > limits.COMPLETED_FRAMEWORKS:
            self._frameworks.popitem(last=False)

    def of(self, framework_id: FrameworkId) -> list[Completed]:
        return list(self._frameworks.get(framework_id, ()))

    def frameworks(self) -> list[FrameworkId]:
        return list(self._frameworks)
