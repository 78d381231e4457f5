"""JSON of each task, built once and again only after a change of the task.

10,000 tasks are 15 MB of JSON and seconds of work. A background round every few seconds builds, in
slices, the JSON of tasks that changed. A page then only concatenates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from shim import limits
from shim.core.executors import Executor
from shim.core.history import CompletedTask
from shim.core.lifecycle import TaskPhase
from shim.core.task import Task
from shim.http.amounts import Amount, FrozenAmount
from shim.http.executor import (
    AnyExecutor,
    executor_json,
    executor_of,
    known_executors,
    task_json,
)
from shim.http.protojson import Json, dump
from shim.http.view import View
from shim.model.container import Ref
from shim.protos.mesos_pb2 import Task as WireTask
from shim.protos.mesos_pb2 import TaskInfo


class _TaskJson(NamedTuple):
    version: tuple[Any, ...]
    """Everything in the JSON that can change. Another version means: build the JSON again."""
    body: bytes
    """In ``/state``: a command task inside its executor; a group's task by itself."""
    used: FrozenAmount
    usage_head: bytes
    """The beginning of the entry in ``/monitor/statistics``: an object without its last brace."""


class TaskJsonCache:
    def __init__(self, view: View) -> None:
        self._agent = view.agent
        self._work_dir = view.work_dir
        self._time_slicer = view.time_slicer
        self._billing = view.billing
        self._cached: dict[Ref, _TaskJson] = {}

    def executor_of(self, task: Task) -> bytes:
        """The executor of a task that the agent still has."""
        return self._of_task(task).body

    def task_of(self, task: Task) -> bytes:
        """The task of a task group, by itself."""
        return self._of_task(task).body

    def used_by(self, task: Task) -> FrozenAmount:
        """Nothing once the task has ended."""
        return self._of_task(task).used

    def usage_head_of(self, task: Task) -> bytes:
        """The ids in front of a task's statistics: a JSON object without its last brace."""
        return self._of_task(task).usage_head

    def executor_of_completed(self, completed: CompletedTask) -> bytes:
        return self._of_completed(completed).body

    def task_of_completed(self, completed: CompletedTask) -> bytes:
        """The task of a task group, by itself."""
        return self._of_completed(completed).body

    async def allocated(self) -> Amount:
        """The sum of resources of all live tasks and executors."""
        time_slice, total = self._time_slicer.begin(), Amount()
        for executor in known_executors(self._agent):
            await time_slice.checkpoint()
            if isinstance(executor, Executor) or executor.live:
                total.add(Amount(executor.info.resources).frozen())
        for task in list(self._agent.tasks.values()):
            await time_slice.checkpoint()
            total.add(self._of_task(task).used)
        return total

    async def keep_warm(self) -> None:
        """Call :meth:`warm` every ``PAGE_WARM_INTERVAL`` seconds until cancelled."""
        while True:
            await self.warm()
            await asyncio.sleep(limits.PAGE_WARM_INTERVAL)

    async def warm(self) -> None:
        """Build what is missing or outdated, and drop tasks that the agent has forgotten.

        Launches under way are left out: there may be thousands, and each changes in a moment.
        """
        time_slice = self._time_slicer.begin(pause=limits.PAGE_SLICE_SECONDS)
        present: set[Ref] = set()
        for task in list(self._agent.tasks.values()):
            await time_slice.checkpoint()
            if task.phase not in (TaskPhase.STAGING, TaskPhase.STARTING):
                self._of_task(task)
            present.add(task.ref)
        for completed in self._completed_tasks():
            await time_slice.checkpoint()
            self.executor_of_completed(completed)
            present.add(completed.ref)
        for ref in list(self._cached):
            await time_slice.checkpoint()
            if ref not in present and ref.key not in self._agent.tasks:
                self._cached.pop(ref, None)

    def _of_task(self, task: Task) -> _TaskJson:
        executor = executor_of(task, self._agent)
        return self._get(
            task.ref, task.info, task.wire, executor, ended=not task.live, stage=task.stage
        )

    def _of_completed(self, completed: CompletedTask) -> _TaskJson:
        return self._get(
            completed.ref, completed.info, completed.wire, completed.executor, ended=True
        )

    def _get(
        self,
        ref: Ref,
        info: TaskInfo,
        wire: WireTask,
        executor: AnyExecutor | None,
        *,
        ended: bool,
        stage: str = "",
    ) -> _TaskJson:
        statuses = wire.statuses
        updated = statuses[-1].timestamp if statuses else 0.0
        paid = self._billing.paid(ref.name) if self._billing is not None else None
        version = (ended, wire.state, len(statuses), updated, paid, stage)
        cached = self._cached.get(ref)
        if cached is None or cached.version != version:
            if executor is None:
                body = executor_json(ref, info, wire, self._work_dir, ended=ended, stage=stage)
                shown = [*body["tasks"], *body["completed_tasks"]]
                ids = _ids(ref.key.framework_id, body["id"], body["name"], body["source"])
            else:
                body = task_json(info, wire, ended=ended, stage=stage)
                shown = [body]
                owner = executor.info
                ids = _ids(ref.key.framework_id, executor.key.executor_id, owner.name, owner.source)
            if paid is not None:
                for task in shown:
                    task["triton"] = paid
            used = Amount(() if ended else wire.resources).frozen()
            cached = _TaskJson(version, dump(body), used, dump(ids)[:-1])
            self._cached[ref] = cached
        return cached

    def _completed_tasks(self) -> Iterable[CompletedTask]:
        agent = self._agent
        return [task for id_ in agent.completed_frameworks for task in agent.completed_tasks(id_)]


def _ids(framework_id: str, executor_id: str, executor_name: str, source: str) -> Json:
    return {
        "framework_id": framework_id,
        "executor_id": executor_id,
        "executor_name": executor_name,
        "source": source,
    }
