"""JSON of each task, built once and again only after a change of the task.

10,000 tasks are 15 MB of JSON and seconds of work. A background round every few seconds builds, in
slices, the JSON of tasks that changed. A page then only concatenates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from shim import limits
from shim.core.history import CompletedTask
from shim.core.lifecycle import TaskPhase
from shim.core.task import Task
from shim.http.amounts import Amount, FrozenAmount
from shim.http.executor import executor_json
from shim.http.protojson import Json, dump
from shim.http.view import View
from shim.model.container import Ref
from shim.protos.mesos_pb2 import Task as WireTask
from shim.protos.mesos_pb2 import TaskInfo


class _TaskJson(NamedTuple):
    version: tuple[Any, ...]
    """Everything in the JSON that can change. Another version means: build the JSON again."""
    executor: bytes
    """The executor in ``/state``."""
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
        return self._of_task(task).executor

    def usage_head_of(self, task: Task) -> bytes:
        """The ids in front of a task's statistics: a JSON object without its last brace."""
        return self._of_task(task).usage_head

    def executor_of_completed(self, completed: CompletedTask) -> bytes:
        return self._get(completed.ref, completed.info, completed.wire, ended=True).executor

    async def allocated(self) -> Amount:
        """The sum of resources of all live tasks."""
        time_slice, total = self._time_slicer.begin(), Amount()
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
        tasks = self._agent.tasks
        for ref in [ref for ref in self._cached if ref not in present and ref.key not in tasks]:
            del self._cached[ref]

    def _of_task(self, task: Task) -> _TaskJson:
        return self._get(task.ref, task.info, task.wire, ended=not task.live, stage=task.stage)

    def _get(
        self, ref: Ref, info: TaskInfo, wire: WireTask, *, ended: bool, stage: str = ""
    ) -> _TaskJson:
        statuses = wire.statuses
        updated = statuses[-1].timestamp if statuses else 0.0
        paid = self._billing.paid(ref.name) if self._billing is not None else None
        version = (ended, wire.state, len(statuses), updated, paid, stage)
        cached = self._cached.get(ref)
        if cached is None or cached.version != version:
            body = executor_json(ref, info, wire, self._work_dir, ended=ended, stage=stage)
            if paid is not None:
                for task in (*body["tasks"], *body["completed_tasks"]):
                    task["triton"] = paid
            used = Amount(() if ended else wire.resources).frozen()
            usage_head = dump(_ids(ref, body["name"]))[:-1]
            cached = self._cached[ref] = _TaskJson(version, dump(body), used, usage_head)
        return cached

    def _completed_tasks(self) -> Iterable[CompletedTask]:
        agent = self._agent
        return [task for id_ in agent.completed_frameworks for task in agent.completed_tasks(id_)]


def _ids(ref: Ref, executor_name: str) -> Json:
    return {
        "framework_id": ref.key.framework_id,
        "executor_id": ref.task_key.task_id,
        "executor_name": executor_name,
        "source": ref.task_key.task_id,
    }
