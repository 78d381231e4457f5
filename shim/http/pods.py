"""Executors of frameworks in ``/state``: one entry with all tasks of the executor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from shim.core.custom_executor import CustomExecutor
from shim.core.history import CompletedTask
from shim.core.task import Task
from shim.core.view import AgentView
from shim.http.amounts import Amount
from shim.http.executor import AnyExecutor, allocation_role, executor_of, executor_path
from shim.http.protojson import Json, dump, to_json
from shim.http.task_json_cache import TaskJsonCache
from shim.http.time_slicer import ArrayItem, TimeSlice, json_array
from shim.model.ids import FrameworkId
from shim.protos.mesos_pb2 import ExecutorInfo, TaskState


class ExecutorEntries:
    """The entries of ``executors`` and ``completed_executors`` of one framework."""

    def __init__(self, agent: AgentView, cache: TaskJsonCache, work_dir: str) -> None:
        self._agent = agent
        self._cache = cache
        self._work_dir = work_dir

    def present(
        self, framework_id: FrameworkId, tasks: Iterable[Task], time_slice: TimeSlice
    ) -> Iterator[ArrayItem]:
        """Of the tasks that the agent still has."""
        groups: dict[AnyExecutor, list[Task]] = {
            executor: []
            for key, executor in self._agent.custom_executors.items()
            if key.framework_id == framework_id and executor.live
        }
        for task in tasks:
            executor = executor_of(task, self._agent)
            if executor is None:
                yield self._cache.executor_of(task)
            else:
                groups.setdefault(executor, []).append(task)
                yield None
        if not groups:
            return
        ended: dict[AnyExecutor, list[CompletedTask]] = {}
        for completed in self._completed(framework_id):
            if completed.executor is not None:
                ended.setdefault(completed.executor, []).append(completed)
        for executor, members in groups.items():
            yield self._executor(executor, members, ended.get(executor, ()), time_slice)

    def completed(self, framework_id: FrameworkId, time_slice: TimeSlice) -> Iterator[ArrayItem]:
        """Of tasks that ended, and whose last update is acknowledged."""
        ended: dict[AnyExecutor, list[CompletedTask]] = {}
        for completed in self._completed(framework_id):
            if completed.executor is None:
                yield self._cache.executor_of_completed(completed)
            elif not self._is_present(completed.executor):
                ended.setdefault(completed.executor, []).append(completed)
        for executor, members in ended.items():
            yield self._executor(executor, (), members, time_slice)

    def _is_present(self, executor: AnyExecutor) -> bool:
        key, agent = executor.key, self._agent
        return executor in (agent.executors.get(key), agent.custom_executors.get(key))

    def _completed(self, framework_id: FrameworkId) -> Iterator[CompletedTask]:
        for completed in self._agent.completed_tasks(framework_id):
            task = self._agent.tasks.get(completed.ref.task_key)
            if task is None or task.ref != completed.ref:
                yield completed

    async def _executor(
        self,
        executor: AnyExecutor,
        members: Sequence[Task],
        ended: Iterable[CompletedTask],
        time_slice: TimeSlice,
    ) -> AsyncIterator[bytes]:
        is_live = bool(members) or (isinstance(executor, CustomExecutor) and executor.live)
        used = Amount(executor.info.resources if is_live else ())
        present: dict[str, list[bytes]] = {"tasks": [], "queued_tasks": [], "completed_tasks": []}
        present["completed_tasks"] += [self._cache.task_of_completed(each) for each in ended]
        for task in members:
            await time_slice.checkpoint()
            used.add(self._cache.used_by(task))
            present[_list_of(task)].append(self._cache.task_of(task))
        yield dump(self._head(executor, used))[:-1]
        for name, entries in present.items():
            yield b",%s:" % dump(name)
            async for piece in json_array(entries, time_slice):
                yield piece
        yield b"}"

    def _head(self, executor: AnyExecutor, used: Amount) -> Json:
        info, agent_id = executor.info, self._agent.agent_id or ""
        body: Json = {
            "id": executor.key.executor_id,
            "name": info.name,
            "source": info.source,
            "container": executor.container_id,
            "directory": executor_path(self._work_dir, agent_id, executor.ref),
            "resources": used.json(),
            "role": allocation_role(info.resources),
            "type": ExecutorInfo.Type.Name(info.type or ExecutorInfo.CUSTOM),
        }
        if info.labels.labels:
            body["labels"] = [to_json(label) for label in info.labels.labels]
        return body


def _list_of(task: Task) -> str:
    if not task.live:
        return "completed_tasks"
    return "queued_tasks" if task.wire.state == TaskState.TASK_STAGING else "tasks"
