"""Tasks of custom executors on their way to them: queued, handed over, killed.

A task of an executor has no container of its own: it waits in phase QUEUED, and is DELIVERED once
it was handed over. Its states then come from the executor (:mod:`shim.core.executor_updates`).

The container of an executor has the size of the executor and its tasks. It grows before a task that
needs more is handed over; it never shrinks, as memory in use cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from shim.core import executor_ends
from shim.core.context import Context
from shim.core.custom_executor import CustomExecutor, CustomExecutorEvent, Size
from shim.core.executors import ExecutorPhase
from shim.core.frameworks import Framework, Frameworks
from shim.core.lifecycle import TaskPhase
from shim.core.task import Task
from shim.core.tasks import Tasks
from shim.model.facts import ContainerUpdated
from shim.model.ids import TaskId, TaskKey
from shim.model.orders import UpdateContainer
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import KillPolicy, TaskInfo

if TYPE_CHECKING:
    from shim.core.custom_executors import CustomExecutors


class TaskDelivery:
    def __init__(
        self, ctx: Context, tasks: Tasks, frameworks: Frameworks, executors: CustomExecutors
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._frameworks = frameworks
        self._executors = executors

    # --- handing over -------------------------------------------------------------------------

    def enqueue(
        self,
        framework: Framework,
        executor: CustomExecutor,
        tasks: Sequence[TaskInfo],
        *,
        grouped: bool,
    ) -> None:
        """Record the tasks for the executor; ``grouped``: they are one task group."""
        if grouped:
            executor.groups += 1
        for task_info in tasks:
            task_key = TaskKey(executor.key.framework_id, TaskId(task_info.task_id.value))
            group = executor.groups if grouped else 0
            self._tasks.enqueue(framework, task_key, task_info, executor.ref, group)
            executor.task_keys[task_key] = None

    def advance(self, executor: CustomExecutor) -> None:
        """Hand over the queued tasks, once the container has the size that they need."""
        if executor.phase is not ExecutorPhase.RUNNING or executor.resizing is not None:
            return
        tasks = self._executors.tasks_of(executor)
        queued = [task for task in tasks if task.phase is TaskPhase.QUEUED]
        if not queued:
            return
        needed = executor.size.joined(self.size_needed(executor))
        if needed != executor.size:
            executor.resizing = needed
            self._ctx.order(UpdateContainer(executor.ref, needed.resources()))
            return
        executor.used = True
        self._executors.save(executor)
        for group in _by_group(queued):
            self._hand_over(executor, group)

    def _hand_over(self, executor: CustomExecutor, tasks: Sequence[Task]) -> None:
        """DELIVERED is durable before the task is sent: no restart hands it over twice."""
        if tasks[0].custom_group and not executor.subscribed:
            for task in tasks:
                self._tasks.finish(task, executor_ends.no_groups())
            return
        framework = self._frameworks.table[executor.key.framework_id]
        for task in tasks:
            task.phase = TaskPhase.DELIVERED
            task.addresses = executor.addresses
            self._tasks.reporter.save(task)
        infos = [_with_executor(task, executor) for task in tasks]
        if tasks[0].custom_group:
            self._executors.channel.launch_group(executor, infos)
        else:
            self._executors.channel.launch(executor, framework, infos[0])

    # --- the size of the container ------------------------------------------------------------

    def size_needed(self, executor: CustomExecutor) -> Size:
        """For the executor and its live tasks."""
        tasks = self._executors.tasks_of(executor)
        live = (task.info.resources for task in tasks if task.live)
        return Size.of(executor.info.resources, *live)

    def container_updated(self, fact: ContainerUpdated) -> None:
        """The container has the size for the queued tasks, or cannot have it."""
        executor = self._executors.of(fact.ref)
        if executor is None or executor.resizing is None:
            return
        if fact.error:
            executor.resizing = None
            framework = self._frameworks.table[executor.key.framework_id]
            executor.ended_by = executor_ends.not_resized(framework, fact.error)
            self._executors.apply(executor, CustomExecutorEvent.UNFIT)
            return
        executor.size, executor.resizing = executor.resizing, None
        self._executors.save(executor)
        self.advance(executor)

    # --- kills --------------------------------------------------------------------------------

    def kill(self, task: Task, policy: KillPolicy | None) -> None:
        """End a task of an executor: a queued one here, a launched one by its executor."""
        assert task.executor_key is not None
        executor = self._executors.table[task.executor_key]
        if task.cause == Cause.WITHOUT_UPDATES:
            self._tasks.finish(task, executor_ends.killed_while_queued(grouped=False))
        elif task.phase is TaskPhase.QUEUED:
            self._kill_queued(executor, task)
        else:
            self._tasks.reporter.save(task)
            self._executors.services.withdraw(task)
            if executor.phase is ExecutorPhase.RUNNING:
                self._executors.channel.kill(executor, task.ref, policy)

    def _kill_queued(self, executor: CustomExecutor, task: Task) -> None:
        """A kill of one task of a group that was not handed over ends the group."""
        group = [
            other
            for other in self._executors.tasks_of(executor)
            if other is task or (task.custom_group and other.custom_group == task.custom_group)
        ]
        for each in group:
            if each.phase is TaskPhase.QUEUED:
                report = executor_ends.killed_while_queued(grouped=bool(task.custom_group))
                self._tasks.finish(each, self._tasks.with_drain_reason(each, report))


def _by_group(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """Single tasks, then task groups, each in the order of their launch."""
    groups: dict[int, list[Task]] = {}
    for task in tasks:
        if task.custom_group:
            groups.setdefault(task.custom_group, []).append(task)
        else:
            yield [task]
    yield from groups.values()


def _with_executor(task: Task, executor: CustomExecutor) -> TaskInfo:
    """The TaskInfo as the framework gave it: the agent keeps one ExecutorInfo for all tasks."""
    info = TaskInfo()
    info.CopyFrom(task.info)
    info.executor.CopyFrom(executor.info)
    return info
