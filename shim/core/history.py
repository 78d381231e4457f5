"""Completed tasks, for pages and metrics. Bounded; not durable."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from shim import limits
from shim.core.custom_executor import CustomExecutor
from shim.core.executors import Executor
from shim.core.task import LaunchStep, Task
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
    """Seconds since the epoch, as ``ended``."""
    ended: float
    executor: Executor | CustomExecutor | None = None
    """The executor that the framework brought; None for a command task."""
    steps: Sequence[LaunchStep] = ()
    """The stages of its launch."""


class History:
    """The newest completed tasks of the frameworks that last had one end here."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[FrameworkId, deque[CompletedTask]] = OrderedDict()
        self._infos: dict[FrameworkId, FrameworkInfo] = {}
        self.totals: Counter[TaskState.ValueType] = Counter()
        """Tasks that ended since the start of the process, by terminal state."""

    def add(
        self,
        task: Task,
        framework: FrameworkInfo,
        at: float,
        custom_executor: CustomExecutor | None = None,
    ) -> None:
        """The task ended ``at``, in seconds since the epoch."""
        framework_id = task.key.framework_id
        executor = custom_executor if task.group is None else task.group.executor
        tasks = self._tasks.setdefault(framework_id, deque(maxlen=limits.COMPLETED_TASKS))
        self._tasks.move_to_end(framework_id)
        tasks.append(
            CompletedTask(
                task.ref, task.info, task.wire, task.accepted, at, executor, tuple(task.steps)
            )
        )
        self._infos[framework_id] = framework
        self.totals[task.wire.state] += 1
        while len(self._tasks) > limits.COMPLETED_FRAMEWORKS:
            oldest, _ = self._tasks.popitem(last=False)
            del self._infos[oldest]

    def tasks_of(self, framework_id: FrameworkId) -> list[CompletedTask]:
        """Oldest first."""
        return list(self._tasks.get(framework_id, ()))

    def frameworks(self) -> dict[FrameworkId, FrameworkInfo]:
        """As the master last described them."""
        return dict(self._infos)
