"""The real journal in the simulation. It must load what the simulated disk holds."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from shim.agent.journal import SqliteJournal
from shim.model.records import Record, Snapshot
from tests.sim.clock import Violation
from tests.sim.disk import Disk


class SqliteDisk(Disk):
    """Each process of the shim opens the files as kill -9 left them."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._processes = 0
        self._loop = asyncio.new_event_loop()
        self._journal: SqliteJournal | None = None

    def commit(self, batch: Sequence[Record]) -> None:
        super().commit(batch)
        assert self._journal is not None
        self._loop.run_until_complete(self._journal.commit(batch))

    def snapshot(self) -> Snapshot:
        expected = super().snapshot()
        loaded = self._open_copy().load()
        if loaded != expected:
            raise Violation(f"the journal holds {loaded!r:.300} instead of {expected!r:.300}")
        return loaded

    def wipe(self) -> None:
        super().wipe()
        self._stop()
        self._processes += 1

    def close(self) -> None:
        self._stop()
        self._loop.close()

    def _open_copy(self) -> SqliteJournal:
        """Open a copy of the files, made while the earlier process still has them open.

        Such a copy is what a kill leaves.
        """
        before = self._directory / str(self._processes)
        self._processes += 1
        after = self._directory / str(self._processes)
        if before.exists():
            shutil.copytree(before, after)
        self._stop()
        self._journal = SqliteJournal(after / "journal.db")
        return self._journal

    def _stop(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None
