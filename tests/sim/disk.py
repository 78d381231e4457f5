"""A simulated disk that keeps records as the journal does, and remembers what it was told."""

from __future__ import annotations

from collections.abc import Sequence

from shim.model import records
from shim.model.ids import FrameworkId, TaskKey
from shim.model.records import Record, Snapshot
from tests.sim.clock import Violation


class Disk:
    """Stricter than the journal: a record that changes nothing is a bug of the core's."""

    def __init__(self) -> None:
        self.meta: dict[str, bytes] = {}
        self.frameworks: dict[FrameworkId, bytes] = {}
        self.tasks: dict[TaskKey, tuple[bytes, bytes]] = {}
        self.updates: dict[TaskKey, dict[bytes, bytes]] = {}
        self.commits = 0
        self.refuses_until = 0.0
        # For the judge: all that was ever durable.
        self.written: dict[bytes, bytes] = {}
        self.acknowledged: dict[bytes, int] = {}
        self.accepted: dict[TaskKey, int] = {}
        self.touched: set[TaskKey] = set()
        """Tasks that the last commit was about."""

    def commit(self, batch: Sequence[Record]) -> None:
        self.commits += 1
        self.touched.clear()
        for record in batch:
            self._apply(record)

    def snapshot(self) -> Snapshot:
        updates = {key: list(kept.values()) for key, kept in self.updates.items() if kept}
        return Snapshot(dict(self.meta), dict(self.frameworks), dict(self.tasks), updates)

    def wipe(self) -> None:
        """The work_dir is lost."""
        self.meta.clear()
        self.frameworks.clear()
        self.tasks.clear()
        self.updates.clear()

    def close(self) -> None:
        """Nothing to close."""

    def _apply(self, record: Record) -> None:
        match record:
            case records.SaveMeta(name, value):
                if value is None:
                    self.meta.pop(name, None)
                else:
                    self.meta[name] = value
            case records.SaveFramework(framework_id, value):
                if value is None:
                    self._expect(framework_id in self.frameworks, record)
                    del self.frameworks[framework_id]
                else:
                    self.frameworks[framework_id] = value
            case records.AddTask(key, info, state):
                self._expect(key not in self.tasks, record)
                self.touched.add(key)
                self.accepted[key] = self.commits
                self.tasks[key] = (info, state)
            case records.SaveTask(key, state):
                self._expect(key in self.tasks, record)
                self.touched.add(key)
                self.tasks[key] = (self.tasks[key][0], state)
            case records.DropTask(key):
                self._expect(key in self.tasks, record)
                self.touched.add(key)
                del self.tasks[key]
            case records.AddUpdate(key, uuid, value):
                self._expect(uuid not in self.written, record)
                self.written[uuid] = value
                self.updates.setdefault(key, {})[uuid] = value
            case records.DropUpdate(key, uuid):
                self._expect(next(iter(self.updates.get(key, {})), None) == uuid, record)
                del self.updates[key][uuid]
                self.acknowledged[uuid] = self.commits
                if not self.updates[key]:
                    del self.updates[key]
            case records.DropUpdates(key):
                for uuid in self.updates.pop(key, {}):
                    self.acknowledged[uuid] = self.commits

    def _expect(self, holds: bool, record: Record) -> None:
        if not holds:
            raise Violation(f"a record that does not fit what is durable: {record!r:.200}")
