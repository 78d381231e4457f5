"""Follows the agent while a page is open, and sends what changed to every open stream.

One round a second compares each task with what its row shows, in slices of the loop's time. The
streams share the rows' bytes. A stream that reads slowly has no queue: it is behind, and gets the
newest rows when it reads again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from shim import limits
from shim.core.history import CompletedTask
from shim.core.task import Task
from shim.http.live.rows import RowTable, completed_row, task_row
from shim.http.live.summary import summary
from shim.http.protojson import dump
from shim.http.view import View
from shim.model.ids import ContainerId, FrameworkId


class LiveFeed:
    """Needs a running loop once a stream is opened."""

    def __init__(self, view: View, clock: Callable[[], float] = time.time) -> None:
        self._view = view
        self._agent = view.agent
        self._clock = clock
        self._table = RowTable()
        self._shown: dict[ContainerId, tuple[object, ...]] = {}
        """What each row was made of; compared by identity where it can be."""
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
        sent, shown = -1, b""
        while True:
            table = self._table
            gone = None if sent < 0 else table.gone_since(sent)
            if gone is None:
                yield event("reset", b"{}")
                sent = 0
            elif gone:
                yield event("gone", dump(gone))
            rows, sent = table.changed_since(sent), table.number
            for start in range(0, len(rows), limits.LIVE_ROWS):
                yield event("tasks", b"[%s]" % b",".join(rows[start : start + limits.LIVE_ROWS]))
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
        present: set[ContainerId] = set()
        for task in list(self._agent.tasks.values()):
            await time_slice.checkpoint()
            present.add(task.ref.container_id)
            self._compare(task)
        for framework_id, info in self._agent.completed_frameworks.items():
            await time_slice.checkpoint()
            for completed in self._agent.completed_tasks(framework_id):
                if completed.ref.container_id not in present:
                    present.add(completed.ref.container_id)
                    self._compare_completed(completed, info.name)
        for container_id in self._shown.keys() - present:
            del self._shown[container_id]
            self._table.remove(container_id)
        await time_slice.checkpoint()
        self._summary = dump(summary(self._view, self._table.used, self._clock()))

    def _compare(self, task: Task) -> None:
        container_id = task.ref.container_id
        shown = self._shown.get(container_id)
        # A task gets another message with each status, so its identity says enough.
        if shown is not None and shown[0] is task.wire and shown[1:] == (task.phase, task.stage):
            return
        self._shown[container_id] = (task.wire, task.phase, task.stage)
        billing = self._view.billing
        paid = billing.paid(task.ref.name) if billing is not None else None
        package = str(paid.get("package", "")) if paid else None
        self._table.put(container_id, task_row(task, self._name(task.key.framework_id), package))

    def _compare_completed(self, task: CompletedTask, framework: str) -> None:
        container_id = task.ref.container_id
        shown = self._shown.get(container_id)
        if shown is None or shown[0] is not task:
            self._shown[container_id] = (task,)
            self._table.put(container_id, completed_row(task, framework))

    def _name(self, framework_id: FrameworkId) -> str:
        framework = self._agent.frameworks.get(framework_id)
        return framework.info.name if framework is not None else ""


def event(name: str, data: bytes) -> bytes:
    """One server-sent event; ``data`` is JSON on one line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)
