"""What pages say of each task, as JSON that is made once and again only after a change.

10,000 tasks are 15 MB of JSON and seconds of work. It is done when a task changes, in slices, by a
round that comes every few seconds; a page then only puts the pieces together.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from shim import limits
from shim.core.history import CompletedTask
from shim.core.lifecycle import TaskPhase
from shim.core.task import Task
from shim.http.amounts import Amount, Parts
from shim.http.executor import executor
from shim.http.protojson import Json
from shim.http.view import View
from shim.model.container import Ref
from shim.protos.mesos_pb2 import Task as WireTask
from shim.protos.mesos_pb2 import TaskInfo


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


class _Fragment(NamedTuple):
    version: tuple[Any, ...]
    json: bytes
    """The executor in ``/state``."""
    used: Parts
    label: bytes
    """Beginning of its entry in ``/monitor/statistics``."""


class TaskJsonCache:
    def __init__(self, sources: View) -> None:
        self._agent = sources.agent
        self._work_dir = sources.work_dir
        self._pacer = sources.pacer
        self._costs = sources.costs
        self._made: dict[Ref, _Fragment] = {}

    def of_live(self, task: Task) -> bytes:
        """The executor of a task that is not done with."""
        return self._live(task).json

    def _live(self, task: Task) -> _Fragment:
        stage = task.stage
        return self._fragment(task.ref, task.info, task.wire, ended=not task.live, stage=stage)

    def label_of(self, task: Task) -> bytes:
        """The beginning of what is said of its usage: a JSON object without its last brace."""
        return self._live(task).label

    def of_completed(self, found: CompletedTask) -> bytes:
        return self._fragment(found.ref, found.info, found.wire, ended=True).json

    def _fragment(
        self, ref: Ref, info: TaskInfo, wire: WireTask, *, ended: bool, stage: str = ""
    ) -> _Fragment:
        statuses = wire.statuses
        said = statuses[-1].timestamp if statuses else 0.0
        paid = self._costs.paid(ref.name) if self._costs is not None else None
        version = (ended, wire.state, len(statuses), said, paid, stage)
        made = self._made.get(ref)
        if made is None or made.version != version:
            body = executor(ref, info, wire, self._work_dir, ended=ended, stage=stage)
            if paid is not None:
                for task in (*body["tasks"], *body["completed_tasks"]):
                    task["triton"] = paid
            used = Amount(() if ended else wire.resources).parts
            label = dump(_label(ref, body["name"]))[:-1]
            made = self._made[ref] = _Fragment(version, dump(body), used, label)
        return made

    async def allocated(self) -> Amount:
        """What live tasks use."""
        breather, total = self._pacer.breather(), Amount()
        for task in list(self._agent.tasks.values()):
            await breather.pause()
            total.add(self._live(task).used)
        return total

    async def keep_warm(self) -> None:
        """Until cancelled."""
        while True:
            await self.warm()
            await asyncio.sleep(limits.PAGE_WARM_INTERVAL)

    async def warm(self) -> None:
        """Make what is missing, forget what is gone.

        Not of launches under way: there may be thousands, and each changes in a moment.
        """
        breather = self._pacer.breather(rest=limits.PAGE_SLICE_SECONDS)
        present: set[Ref] = set()
        for task in list(self._agent.tasks.values()):
            await breather.pause()
            if task.phase not in (TaskPhase.STAGING, TaskPhase.STARTING):
                self._live(task)
            present.add(task.ref)
        for found in self._completed():
            await breather.pause()
            self.of_completed(found)
            present.add(found.ref)
        tasks = self._agent.tasks
        for ref in [ref for ref in self._made if ref not in present and ref.key not in tasks]:
            del self._made[ref]

    def _completed(self) -> Iterable[CompletedTask]:
        agent = self._agent
        return [found for id_ in agent.completed_frameworks for found in agent.completed_tasks(id_)]


def _label(ref: Ref, name: str) -> Json:
    return {
        "framework_id": ref.key.framework_id,
        "executor_id": ref.key.task_id,
        "executor_name": name,
        "source": ref.key.task_id,
    }
