"""What pages say of each task, as JSON that is made once and again only after a change.

10,000 tasks are 15 MB of JSON and seconds of work. It is done when a task changes, in slices, by a
round that comes every few seconds; a page then only puts the pieces together.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from shim import limits
from shim.core.agent import Core
from shim.core.history import Completed
from shim.core.task import Task
from shim.http.amounts import Amount
from shim.http.executor import executor
from shim.http.slices import Breather
from shim.model.container import Ref
from shim.model.ids import FrameworkId
from shim.protos.mesos_pb2 import Task as WireTask
from shim.protos.mesos_pb2 import TaskInfo


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


@dataclass(frozen=True, slots=True)
class _Fragment:
    version: tuple[Any, ...]
    json: bytes
    used: Amount


class Fragments:
    def __init__(self, core: Core, work_dir: str) -> None:
        self._core = core
        self._work_dir = work_dir
        self._made: dict[Ref, _Fragment] = {}

    def of_live(self, task: Task) -> bytes:
        """The executor of a task that is not done with."""
        return self._live(task).json

    def _live(self, task: Task) -> _Fragment:
        return self._fragment(task.ref, task.info, task.wire, ended=not task.live)

    def of_completed(self, found: Completed) -> bytes:
        return self._fragment(found.ref, found.info, found.wire, ended=True).json

    def _fragment(self, ref: Ref, info: TaskInfo, wire: WireTask, *, ended: bool) -> _Fragment:
        statuses = wire.statuses
        version = (ended, wire.state, len(statuses), statuses[-1].timestamp if statuses else 0.0)
        made = self._made.get(ref)
        if made is None or made.version != version:
            body = executor(ref, info, wire, self._work_dir, ended=ended)
            used = Amount(() if ended else wire.resources)
            made = self._made[ref] = _Fragment(version, dump(body), used)
        return made

    async def allocated(self) -> dict[FrameworkId, Amount]:
        """What live tasks use, by framework."""
        breather, sums = Breather(), dict[FrameworkId, Amount]()
        for task in list(self._core.tasks.table.values()):
            await breather.pause()
            if task.live:
                sums.setdefault(task.key.framework_id, Amount()).add(self._live(task).used)
        return sums

    async def keep_warm(self) -> None:
        """Until cancelled."""
        while True:
            await self.warm()
            await asyncio.sleep(limits.PAGE_WARM_INTERVAL)

    async def warm(self) -> None:
        """Make what is missing, forget what is gone."""
        breather = Breather(rest=limits.PAGE_SLICE_SECONDS)
        present: set[Ref] = set()
        for task in list(self._core.tasks.table.values()):
            await breather.pause()
            self._live(task)
            present.add(task.ref)
        for found in self._completed():
            await breather.pause()
            self.of_completed(found)
            present.add(found.ref)
        tasks = self._core.tasks.table
        for ref in [ref for ref in self._made if ref not in present and ref.key not in tasks]:
            del self._made[ref]

    def _completed(self) -> Iterable[Completed]:
        history = self._core.tasks.history
        return [found for id_ in history.frameworks() for found in history.of(id_)]


async def each(fragments: Iterable[bytes]) -> AsyncIterator[bytes]:
    breather = Breather()
    for fragment in fragments:
        await breather.pause()
        yield fragment
