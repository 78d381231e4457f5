"""A simulated disk that keeps records as the journal does, and every record ever written."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from shim.model import records
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskKey
from shim.model.records import Record, Snapshot
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import DrainConfig
from tests.sim.clock import Violation


class Disk:
    """Stricter than the journal: a record that drops or adds nothing is a bug in the core."""

    def __init__(self) -> None:
        self.shim_id = ""
        self.agent: journal_pb2.Agent | None = None
        self.resources = journal_pb2.Resources()
        self.drain: DrainConfig | None = None
        self.pending_removals: dict[ContainerId, Ref] = {}
        self.executors: dict[ContainerId, bytes] = {}
        self.volumes: dict[str, bytes] = {}
        self.operations: dict[bytes, bytes] = {}
        self.frameworks: dict[FrameworkId, journal_pb2.Framework] = {}
        self.tasks: dict[TaskKey, tuple[bytes, bytes]] = {}
        self.updates: dict[TaskKey, dict[bytes, bytes]] = {}
        self.acknowledged_ends: dict[bytes, bytes] = {}
        self.unanswered_request = False
        self.commits = 0
        self.refuses_until = 0.0
        # For the judge: everything that was ever durable.
        self.written: dict[bytes, bytes] = {}
        self.acknowledged: dict[bytes, int] = {}
        self.accepted: dict[TaskKey, int] = {}
        self.touched: set[TaskKey] = set()
        """Tasks with a record in the last commit."""

    def commit(self, batch: Sequence[Record]) -> None:
        self.commits += 1
        self.touched.clear()
        for record in batch:
            self._apply(record)

    def snapshot(self) -> Snapshot:
        """A copy: a core may change what it is given."""
        return Snapshot(
            self.shim_id,
            copy.deepcopy(self.agent),
            copy.deepcopy(self.resources),
            copy.deepcopy(self.drain),
            dict(self.pending_removals),
            dict(self.executors),
            copy.deepcopy(self.frameworks),
            dict(self.tasks),
            {key: list(kept.values()) for key, kept in self.updates.items() if kept},
            dict(self.volumes),
            dict(self.operations),
            [value for _, value in sorted(self.acknowledged_ends.items())],
            self.unanswered_request,
        )

    def wipe(self) -> None:
        """The work_dir is lost."""
        self.shim_id, self.agent, self.drain = "", None, None
        self.resources = journal_pb2.Resources()
        self.pending_removals.clear()
        self.executors.clear()
        self.volumes.clear()
        self.operations.clear()
        self.frameworks.clear()
        self.tasks.clear()
        self.updates.clear()
        self.acknowledged_ends.clear()
        self.unanswered_request = False

    def close(self) -> None:
        """Nothing to close."""

    def _apply(self, record: Record) -> None:
        match record:
            case records.AddTask() | records.SaveTask() | records.DropTask():
                self._apply_task(record)
            case records.AddUpdate() | records.DropUpdate() | records.DropUpdates():
                self._apply_update(record)
            case records.SaveShimId(shim_id):
                self.shim_id = shim_id
            case records.SaveAgent(agent):
                self.agent = copy.deepcopy(agent)
            case records.DropAgent():
                self.agent = None
            case records.AddUnansweredRequest() | records.DropUnansweredRequest():
                adds = isinstance(record, records.AddUnansweredRequest)
                self._expect(self.unanswered_request is not adds, record)
                self.unanswered_request = adds
            case records.SaveResources(resources):
                self.resources = copy.deepcopy(resources)
            case records.SaveDrain(config):
                self.drain = copy.deepcopy(config)
            case records.DropDrain():
                self.drain = None
            case records.AddPendingRemoval(ref):
                self.pending_removals[ref.container_id] = ref
            case records.DropPendingRemoval(container_id):
                self._expect(container_id in self.pending_removals, record)
                del self.pending_removals[container_id]
            case records.SaveExecutor(container_id, value):
                self.executors[container_id] = value
            case records.DropExecutor(container_id):
                self._expect(container_id in self.executors, record)
                del self.executors[container_id]
            case records.AddAcknowledgedEnd(uuid, value):
                self._expect(uuid not in self.acknowledged_ends, record)
                self._expect(self.written.get(uuid) == value, record)
                self.acknowledged_ends[uuid] = value
            case records.DropAcknowledgedEnd(uuid):
                self._expect(uuid in self.acknowledged_ends, record)
                del self.acknowledged_ends[uuid]
            case records.SaveVolume(name, value):
                self.volumes[name] = value
            case records.DropVolume(name):
                self._expect(name in self.volumes, record)
                del self.volumes[name]
            case records.SaveOperation(uuid, value):
                self.operations[uuid] = value
            case records.DropOperation(uuid):
                self._expect(uuid in self.operations, record)
                del self.operations[uuid]
            case records.SaveFramework(framework_id, framework):
                self.frameworks[framework_id] = copy.deepcopy(framework)
            case records.DropFramework(framework_id):
                self._expect(framework_id in self.frameworks, record)
                del self.frameworks[framework_id]

    def _apply_task(self, record: records.AddTask | records.SaveTask | records.DropTask) -> None:
        key = record.key
        self.touched.add(key)
        self._expect((key in self.tasks) is not isinstance(record, records.AddTask), record)
        match record:
            case records.AddTask(_, info, state):
                self.accepted[key] = self.commits
                self.tasks[key] = (info, state)
            case records.SaveTask(_, state):
                self.tasks[key] = (self.tasks[key][0], state)
            case records.DropTask():
                del self.tasks[key]

    def _apply_update(
        self, record: records.AddUpdate | records.DropUpdate | records.DropUpdates
    ) -> None:
        key = record.key
        match record:
            case records.AddUpdate(_, uuid, value):
                # A terminal update may be queued again after its acknowledgement.
                again = uuid in self.acknowledged and key not in self.updates
                self._expect(self.written.get(uuid) == (value if again else None), record)
                self.acknowledged.pop(uuid, None)
                self.written[uuid] = value
                self.updates.setdefault(key, {})[uuid] = value
            case records.DropUpdate(_, uuid):
                self._expect(next(iter(self.updates.get(key, {})), None) == uuid, record)
                del self.updates[key][uuid]
                self.acknowledged[uuid] = self.commits
                if not self.updates[key]:
                    del self.updates[key]
            case records.DropUpdates():
                for uuid in self.updates.pop(key, {}):
                    self.acknowledged[uuid] = self.commits

    def _expect(self, holds: bool, record: Record) -> None:
        if not holds:
            raise Violation(f"a record that contradicts what is durable: {record!r:.200}")
