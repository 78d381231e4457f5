"""Follows the agent while a page is open, and sends what changed to every open stream.

One round a second compares each task with what its row shows, in slices of the loop's time. The
streams share the rows' bytes. A stream that reads slowly has no queue: it is behind, and gets the
newest rows when it reads again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from shim import limits
from shim.core.executors import ExecutorPhase
from shim.core.history import CompletedTask
from shim.core.task import Task
from shim.http.executor import AnyExecutor, executor_of, known_executors
from shim.http.live.rows import (
    MachineTime,
    RowTable,
    completed_row,
    executor_row,
    row_id,
    task_row,
)
from shim.http.live.summary import OverviewCounts, summary
from shim.http.protojson import dump
from shim.http.time_slicer import TimeSlice
from shim.http.view import View
from shim.model.container import Ref
from shim.model.ids import FrameworkId


class LiveFeed:
    """Needs a running loop once a stream is opened."""

    def __init__(self, view: View, clock: Callable[[], float] = time.time) -> None:
        self._view = view
        self._agent = view.agent
        self._billing = view.billing
        self._clock = clock
        self._table = RowTable()
        self._executors = RowTable()
        self._tables = {"executors": self._executors, "tasks": self._table}
        """By the name of their events."""
        self._sending = view.time_slicer.begin()
        """Of all streams: two hundred of them have something to write at the end of a round."""
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
        sent, shown = dict.fromkeys(self._tables, -1), b""
        while True:
            # All streams wake at once; each then looks through what changed.
            await self._sending.checkpoint()
            for name, rows in self._changes(sent):
                await self._sending.checkpoint()
                yield event(name, rows)
            if self._summary != shown:
                # Last: a reader that wants one moment of the agent has all of it now.
                shown = self._summary
                yield event("agent", shown)
            await self._round_done()

    def _changes(self, sent: dict[str, int]) -> Iterator[tuple[str, bytes]]:
        """Name and data of the events that bring a stream up to date.

        ``sent`` are the numbers of the last changes that it got, by table; updated. All tables are
        read before the first event: a reader may take each of them only after further rounds.
        """
        gone = {name: table.gone_since(sent[name]) for name, table in self._tables.items()}
        is_new = min(sent.values()) < 0 or None in gone.values()
        if is_new:
            sent.update(dict.fromkeys(sent, 0))
        changed: dict[str, list[bytes]] = {}
        for name, table in self._tables.items():
            changed[name], sent[name] = table.changed_since(sent[name]), table.number
        return self._events_of(None if is_new else gone, changed)

    def _events_of(
        self, gone: Mapping[str, list[str] | None] | None, changed: Mapping[str, list[bytes]]
    ) -> Iterator[tuple[str, bytes]]:
        """``gone`` None: the reader forgets what it has."""
        if gone is None:
            yield "reset", b"{}"
        elif ids := [each for found in gone.values() for each in found or ()]:
            yield "gone", dump(ids)
        for name, rows in changed.items():
            for start in range(0, len(rows), limits.LIVE_ROWS):
                yield name, b"[%s]" % b",".join(rows[start : start + limits.LIVE_ROWS])

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
        counts = OverviewCounts(self._clock())
        present: set[str] = set()
        for key, task in list(self._agent.tasks.items()):
            await time_slice.checkpoint()
            counts.tasks[key.framework_id] += 1
            executor = executor_of(task, self._agent)
            present.add(id_ := row_id(task.ref, executor))
            self._compare(id_, task, executor)
        for framework_id, info in self._agent.completed_frameworks.items():
            for completed in self._agent.completed_tasks(framework_id):
                await time_slice.checkpoint()
                counts.add_completed(completed)
                id_ = row_id(completed.ref, completed.executor)
                if id_ not in present:
                    present.add(id_)
                    self._compare_completed(id_, completed, info.name)
        await _remove_all_but(present, self._shown, self._table, time_slice)
        await self._round_of_executors(time_slice)
        await time_slice.checkpoint()
        used = [self._table.used, self._executors.used]
        self._summary = dump(summary(self._view, used, counts))

    async def _round_of_executors(self, time_slice: TimeSlice) -> None:
        present: set[str] = set()
        for executor in known_executors(self._agent):
            await time_slice.checkpoint()
            present.add(id_ := executor.container_id)
            live = executor.phase is not ExecutorPhase.TERMINATED
            paid = self._paid(executor.ref, live=live)
            made_of = (executor, executor.phase, executor.addresses, paid)
            if self._shown_executors.get(id_) != made_of:
                self._shown_executors[id_] = made_of
                name = self._name(executor.key.framework_id)
                self._executors.put(executor_row(executor, name, self._machine(executor.ref, paid)))
        await _remove_all_but(present, self._shown_executors, self._executors, time_slice)

    def _compare(self, id_: str, task: Task, executor: AnyExecutor | None) -> None:
        shown = self._shown.get(id_)
        # A task gets another message with each status, so its identity says enough.
        services = self._view.services(task.ref)
        paid = self._paid(task.ref, live=task.live) if self._billing is not None else None
        changing = (task.phase, task.stage, services, paid)
        if shown is not None and shown[0] is task.wire and shown[1:] == changing:
            return
        self._shown[id_] = (task.wire, *changing)
        name = self._name(task.key.framework_id)
        machine = self._machine(task.ref, paid)
        self._table.put(task_row(task, name, executor, services, machine))

    def _compare_completed(self, id_: str, task: CompletedTask, framework: str) -> None:
        shown, paid = self._shown.get(id_), self._paid(task.ref, live=False)
        if shown is None or shown[0] is not task or shown[1:] != (paid,):
            self._shown[id_] = (task, paid)
            machine = self._machine(task.ref, paid)
            self._table.put(completed_row(task, framework, machine))

    def _paid(self, ref: Ref, *, live: bool) -> tuple[str, bool] | None:
        """The package of its machine, and whether the machine exists; None: nothing is known."""
        paid = self._billing.paid(ref.name) if self._billing is not None else None
        if not paid:
            return None
        exists = live or ref.container_id in self._agent.pending_removals
        return str(paid.get("package", "")), exists

    def _machine(self, ref: Ref, paid: tuple[str, bool] | None) -> MachineTime | None:
        if paid is None or self._billing is None:
            return None
        if (bill := self._billing.bill_of(ref.name)) is None:
            return None
        package, exists = paid
        return MachineTime(package, bill["machine_seconds"], self._clock() if exists else None)

    def _name(self, framework_id: FrameworkId) -> str:
        framework = self._agent.frameworks.get(framework_id)
        return framework.info.name if framework is not None else ""


async def _remove_all_but(
    present: AbstractSet[str],
    shown: dict[str, tuple[object, ...]],
    table: RowTable,
    time_slice: TimeSlice,
) -> None:
    for id_ in shown.keys() - present:
        await time_slice.checkpoint()
        del shown[id_]
        table.remove(id_)


def event(name: str, data: bytes) -> bytes:
    """One server-sent event; ``data`` is JSON on one line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)
