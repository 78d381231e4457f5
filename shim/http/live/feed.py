"""Follows the agent while a page is open, and sends what changed to every open stream.

One round a second compares each task with what its row shows, in slices of the loop's time. The
streams share the rows' bytes. A stream that reads slowly has no queue: it is behind, and gets the
newest rows when it reads again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet

from shim import limits
from shim.core.history import CompletedTask
from shim.core.task import Task
from shim.http.executor import AnyExecutor, executor_of, known_executors
from shim.http.live.rows import RowTable, completed_row, executor_row, row_id, task_row
from shim.http.live.summary import summary
from shim.http.protojson import dump
from shim.http.time_slicer import TimeSlice
from shim.http.view import View
from shim.model.ids import FrameworkId


class LiveFeed:
    """Needs a running loop once a stream is opened."""

    def __init__(self, view: View, clock: Callable[[], float] = time.time) -> None:
        self._view = view
        self._agent = view.agent
        self._clock = clock
        self._table = RowTable()
        self._executors = RowTable()
        self._shown: dict[str, tuple[object, ...]] = {}
        """What each row of a task was made of; compared by identity where it can be."""
        self._shown_executors: dict[str, tuple[object, ...]] = {}
        self._summary = b""
        """Of the last round; empty when the rows are not up to date."""
        self._streams = 0
        self._rounds: asyncio.Task[None] | None = None
        self._next_round = asyncio.Event()

    @property
    def streams(self) -> int:
        """How many are open."""
        return self._streams

    @property
    def is_full(self) -> bool:
        """Whether no further stream may be opened."""
        return self._streams >= limits.LIVE_STREAMS

    async def events(self) -> AsyncIterator[bytes]:
        """One stream, in the format of server-sent events, until it is closed."""
        self._streams += 1
        try:
            if self._rounds is None:
                self._rounds = asyncio.create_task(self._run(), name="live page")
            if not self._summary:
                await self._round_done()
            async for event in self._stream():
                yield event
        finally:
            self._streams -= 1
            if self._streams == 0 and self._rounds is not None:
                self._rounds.cancel()
                self._rounds, self._summary = None, b""

    async def close(self) -> None:
        if self._rounds is not None:
            self._rounds.cancel()
            await asyncio.gather(self._rounds, return_exceptions=True)

    # --- one stream -------------------------------------------------------------------------

    async def _stream(self) -> AsyncIterator[bytes]:
        tables = {"executors": self._executors, "tasks": self._table}
        sent, shown = dict.fromkeys(tables, -1), b""
        while True:
            gone = {name: table.gone_since(sent[name]) for name, table in tables.items()}
            if min(sent.values()) < 0 or None in gone.values():
                yield event("reset", b"{}")
                sent = dict.fromkeys(tables, 0)
            elif ids := [each for found in gone.values() for each in found or ()]:
                yield event("gone", dump(ids))
            for name, table in tables.items():
                rows, sent[name] = table.changed_since(sent[name]), table.number
                for start in range(0, len(rows), limits.LIVE_ROWS):
                    piece = rows[start : start + limits.LIVE_ROWS]
                    yield event(name, b"[%s]" % b",".join(piece))
            if self._summary != shown:
                # Last: a reader that wants one moment of the agent has all of it now.
                shown = self._summary
                yield event("agent", shown)
            await self._round_done()

    async def _round_done(self) -> None:
        await self._next_round.wait()

    # --- the rounds -------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._round()
            self._next_round.set()
            self._next_round = asyncio.Event()
            await asyncio.sleep(limits.LIVE_INTERVAL)

    async def _round(self) -> None:
        time_slice = self._view.time_slicer.begin()
        present: set[str] = set()
        for task in list(self._agent.tasks.values()):
            await time_slice.checkpoint()
            executor = executor_of(task, self._agent)
            present.add(id_ := row_id(task.ref, executor))
            self._compare(id_, task, executor)
        for framework_id, info in self._agent.completed_frameworks.items():
            await time_slice.checkpoint()
            for completed in self._agent.completed_tasks(framework_id):
                id_ = row_id(completed.ref, completed.executor)
                if id_ not in present:
                    present.add(id_)
                    self._compare_completed(id_, completed, info.name)
        _remove_all_but(present, self._shown, self._table)
        await self._round_of_executors(time_slice)
        await time_slice.checkpoint()
        used = [self._table.used, self._executors.used]
        self._summary = dump(summary(self._view, used, self._clock()))

    async def _round_of_executors(self, time_slice: TimeSlice) -> None:
        present: set[str] = set()
        for executor in known_executors(self._agent):
            await time_slice.checkpoint()
            present.add(id_ := executor.container_id)
            made_of = (executor, executor.phase, executor.addresses)
            if self._shown_executors.get(id_) != made_of:
                self._shown_executors[id_] = made_of
                name = self._name(executor.key.framework_id)
                self._executors.put(executor_row(executor, name))
        _remove_all_but(present, self._shown_executors, self._executors)

    def _compare(self, id_: str, task: Task, executor: AnyExecutor | None) -> None:
        shown = self._shown.get(id_)
        # A task gets another message with each status, so its identity says enough.
        services, package = self._view.services(task.ref), self._package(task)
        changing = (task.phase, task.stage, services, package)
        if shown is not None and shown[0] is task.wire and shown[1:] == changing:
            return
        self._shown[id_] = (task.wire, *changing)
        name = self._name(task.key.framework_id)
        self._table.put(task_row(task, name, executor, services, package))

    def _package(self, task: Task) -> str | None:
        billing = self._view.billing
        paid = billing.paid(task.ref.name) if billing is not None else None
        return str(paid.get("package", "")) if paid else None

    def _compare_completed(self, id_: str, task: CompletedTask, framework: str) -> None:
        shown = self._shown.get(id_)
        if shown is None or shown[0] is not task:
            self._shown[id_] = (task,)
            self._table.put(completed_row(task, framework))

    def _name(self, framework_id: FrameworkId) -> str:
        framework = self._agent.frameworks.get(framework_id)
        return framework.info.name if framework is not None else ""


def _remove_all_but(
    present: AbstractSet[str], shown: dict[str, tuple[object, ...]], table: RowTable
) -> None:
    for id_ in shown.keys() - present:
        del shown[id_]
        table.remove(id_)


def event(name: str, data: bytes) -> bytes:
    """One server-sent event; ``data`` is JSON on one line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)
