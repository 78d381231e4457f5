"""Records as rows of the journal: names and values never change, old journals open.

``tests/data/journal-5f6b6cb.db`` was written by the journal and the core of commit 5f6b6cb, before
records were typed. Its agent is registered, drains, holds a reservation, and has a task in each
phase, unacknowledged updates, and containers still to be removed.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from shim.agent import journal_codec
from shim.agent.journal import SqliteJournal
from shim.agent.journal_codec import (
    TABLES,
    Change,
    Verb,
    changes_of,
    framework_row,
    meta_row,
    read_framework,
    read_meta,
)
from shim.core.agent import Core
from shim.core.context import CoreSettings
from shim.core.lifecycle import TaskPhase
from shim.errors import FatalError
from shim.model import orders, records
from shim.model.container import Phase, Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey
from shim.model.records import Snapshot
from shim.protos import journal_pb2
from shim.protos import messages_pb2 as m
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import DrainConfig, FrameworkInfo, Resource, SlaveInfo, TaskState, Value
from tests.core.harness import AGENT, MASTER, FakeEntropy, Shim, agent_info, container, of

OLD_JOURNAL = Path(__file__).parents[1] / "data" / "journal-5f6b6cb.db"

REF = Ref(TaskKey(FrameworkId("F"), TaskId("t")), ContainerId("c-1"))
EXECUTOR_REF = Ref(ExecutorKey(FrameworkId("F"), ExecutorId("e")), ContainerId("c-2"))
AGENT_RECORD = journal_pb2.Agent(info=SlaveInfo(hostname="h", port=1), ip="10.0.0.1")
RESOURCES = journal_pb2.Resources(resources=[Resource(name="cpus", type=Value.SCALAR)])
DRAIN = DrainConfig(mark_gone=True)
FRAMEWORK = journal_pb2.Framework(info=FrameworkInfo(user="u", name="n"), pid="@0.0.0.0:0")


# --- rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "row"),
    [
        (records.SaveShimId("host-5051"), ("shim_id", b"host-5051")),
        (records.SaveAgent(AGENT_RECORD), ("agent", AGENT_RECORD.SerializeToString())),
        (records.DropAgent(), ("agent", None)),
        (records.AddUnansweredRequest(), ("unanswered_request", b"1")),
        (records.DropUnansweredRequest(), ("unanswered_request", None)),
        (records.SaveResources(RESOURCES), ("resources", RESOURCES.SerializeToString())),
        (records.SaveDrain(DRAIN), ("drain", DRAIN.SerializeToString())),
        (records.DropDrain(), ("drain", None)),
        (records.AddPendingRemoval(REF), ("doomed/c-1", b"F\nt")),
        (records.DropPendingRemoval(REF.container_id), ("doomed/c-1", None)),
        (records.AddPendingRemoval(EXECUTOR_REF), ("doomed/c-2", b"F\n\ne")),
        (records.SaveExecutor(EXECUTOR_REF.container_id, b"\x01"), ("executor/c-2", b"\x01")),
        (records.DropExecutor(EXECUTOR_REF.container_id), ("executor/c-2", None)),
        (records.AddAcknowledgedEnd(b"\x01\xff", b"end"), ("acknowledged/01ff", b"end")),
        (records.DropAcknowledgedEnd(b"\x01\xff"), ("acknowledged/01ff", None)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, tuple) else value[0],
)
def test_each_agent_record_is_one_row(
    record: records.AgentRecord, row: tuple[str, bytes | None]
) -> None:
    assert meta_row(record) == row


def test_rows_come_back_as_a_snapshot() -> None:
    snapshot = Snapshot()
    saved: list[records.AgentRecord] = [
        records.SaveShimId("host-5051"),
        records.SaveAgent(AGENT_RECORD),
        records.SaveResources(RESOURCES),
        records.SaveDrain(DRAIN),
        records.AddPendingRemoval(REF),
        records.AddPendingRemoval(EXECUTOR_REF),
        records.SaveExecutor(EXECUTOR_REF.container_id, b"\x01"),
        records.AddAcknowledgedEnd(b"u", b"end"),
        records.AddUnansweredRequest(),
    ]
    rows = [(name, value or b"") for name, value in map(meta_row, saved)]
    read_meta([*rows, ("of a later version", b"")], snapshot)
    assert snapshot == Snapshot(
        "host-5051",
        AGENT_RECORD,
        RESOURCES,
        DRAIN,
        {ref.container_id: ref for ref in (REF, EXECUTOR_REF)},
        {EXECUTOR_REF.container_id: b"\x01"},
        acknowledged_ends=[b"end"],
        unanswered_request=True,
    )


def test_a_framework_is_one_row() -> None:
    framework_id, value = framework_row(records.SaveFramework(FrameworkId("F"), FRAMEWORK))
    assert (framework_id, value) == ("F", FRAMEWORK.SerializeToString())
    assert read_framework(value) == FRAMEWORK


KEY = TaskKey(FrameworkId("F"), TaskId("t"))


@pytest.mark.parametrize(
    ("record", "change"),
    [
        (records.SaveShimId("x"), Change(Verb.PUT, "meta", ("shim_id",), {"value": b"x"})),
        (records.DropDrain(), Change(Verb.DROP, "meta", ("drain",))),
        (records.DropFramework(KEY.framework_id), Change(Verb.DROP, "frameworks", ("F",))),
        (
            records.AddTask(KEY, b"i", b"s"),
            Change(Verb.ADD, "tasks", ("F", "t"), {"info": b"i", "state": b"s"}),
        ),
        (records.SaveTask(KEY, b"s"), Change(Verb.SET, "tasks", ("F", "t"), {"state": b"s"})),
        (records.DropTask(KEY), Change(Verb.DROP, "tasks", ("F", "t"))),
        (
            records.AddUpdate(KEY, b"u", b"v"),
            Change(Verb.ADD, "updates", ("F", "t", b"u"), {"value": b"v"}),
        ),
        (records.DropUpdate(KEY, b"u"), Change(Verb.DROP, "updates", ("F", "t", b"u"))),
        (records.DropUpdates(KEY), Change(Verb.DROP, "updates", ("F", "t"))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_record_is_one_change_of_rows(record: records.Record, change: Change) -> None:
    assert list(changes_of([record])) == [change]


def test_every_kind_of_record_has_its_change() -> None:
    assert set(journal_codec._CHANGES) == set(get_args(records.Record))


def test_changes_use_the_columns_of_their_table() -> None:
    for name, table in TABLES.items():
        assert len(set(table.key + table.values)) == len(table.key) + len(table.values), name


@pytest.mark.parametrize("row", [("agent", b"\xff"), ("shim_id", b"\xff"), ("drain", b"\xff")])
def test_a_damaged_value_is_fatal(tmp_path: Path, row: tuple[str, bytes]) -> None:
    path = tmp_path / "journal.db"
    SqliteJournal(path).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("INSERT INTO meta VALUES (?, ?)", row)
    db.close()
    journal = SqliteJournal(path)
    with pytest.raises(FatalError, match=str(path)):
        journal.load()
    journal.close()


# --- a journal of an earlier version --------------------------------------------------------

MARATHON, CHRONOS, ADHOC = map(FrameworkId, ("marathon-0001", "chronos-0002", "adhoc-0003"))


def ref(framework_id: FrameworkId, task: str, number: int) -> Ref:
    container_id = ContainerId(f"00000000-0000-4000-8000-{number:012x}")
    return Ref(TaskKey(framework_id, TaskId(task)), container_id)


RUNNING = ref(MARATHON, "web.acknowledged", 0x01)
UNACKNOWLEDGED = ref(CHRONOS, "batch.unacknowledged", 0x05)
STAGING = ref(MARATHON, "web.staging", 0x08)
STARTING = ref(MARATHON, "web.starting", 0x09)
STOPPING = ref(MARATHON, "web.stopping", 0x0B)
CANCELLING = ref(MARATHON, "web.cancelling", 0x0F)
FINISHED = ref(CHRONOS, "batch.finished", 0x11)
REMOVED = ref(CHRONOS, "batch.removed", 0x15)
WITHOUT_UPDATES = ref(ADHOC, "adhoc.muted", 0x1A)
REJECTED = TaskKey(CHRONOS, TaskId("pod.rejected"))
PHASES = {
    RUNNING: TaskPhase.RUNNING,
    UNACKNOWLEDGED: TaskPhase.RUNNING,
    STAGING: TaskPhase.STAGING,
    STARTING: TaskPhase.STARTING,
    STOPPING: TaskPhase.STOPPING,
    CANCELLING: TaskPhase.CANCELLING,
    FINISHED: TaskPhase.ENDED,
    WITHOUT_UPDATES: TaskPhase.STOPPING,
}


@pytest.fixture
def old_journal(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "journal.db"
    path.parent.mkdir()
    shutil.copy(OLD_JOURNAL, path)
    return path


@pytest.fixture
def snapshot(old_journal: Path) -> Iterator[Snapshot]:
    journal = SqliteJournal(old_journal)
    yield journal.load()
    journal.close()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def core_of(snapshot: Snapshot) -> Core:
    settings = CoreSettings(AGENT, agent_info(), "1.11.0")
    return Core(settings, FakeEntropy(), snapshot, Shim(registered=False).now)


def recovered(snapshot: Snapshot) -> Shim:
    """The core of this version after its first list, an hour later."""
    shim = Shim(registered=False, now=3600.0)
    shim.core = core_of(snapshot)
    shim.disk.tasks.update(snapshot.tasks)
    shim.disk.frameworks.update(snapshot.frameworks)
    shim.disk.pending_removals.update(snapshot.pending_removals)
    for key, updates in snapshot.updates.items():
        uuids = [m.StatusUpdateMessage.FromString(value).update.uuid for value in updates]
        shim.disk.updates[key] = dict(zip(uuids, updates, strict=True))
    shim.recover(
        container(RUNNING, Phase.RUNNING),
        container(UNACKNOWLEDGED, Phase.RUNNING),
        container(STARTING, Phase.RUNNING),
        container(STOPPING, Phase.RUNNING),
        container(CANCELLING, Phase.CREATED),
        container(FINISHED, Phase.EXITED, 0),
        container(REMOVED, Phase.EXITED, 3),
        container(WITHOUT_UPDATES, Phase.RUNNING),
    )
    return shim


def test_an_old_journal_holds_what_was_written(snapshot: Snapshot) -> None:
    assert snapshot.shim_id == "host.example-5051-0a1b2c3d"
    assert snapshot.agent is not None
    assert snapshot.agent.info.id.value == "S1"
    assert (snapshot.agent.info.hostname, snapshot.agent.ip) == ("shim", AGENT.ip)
    assert snapshot.drain is not None
    assert snapshot.drain.mark_gone
    assert snapshot.drain.max_grace_period.nanoseconds == 60 * 10**9
    (reserved,) = snapshot.resources.resources
    assert (reserved.role, reserved.reservation.principal) == ("prod", "ops")
    assert set(snapshot.pending_removals.values()) == {FINISHED, REMOVED}
    assert set(snapshot.frameworks) == {MARATHON, CHRONOS, ADHOC}
    assert snapshot.frameworks[MARATHON].info.name == "framework marathon-0001"
    assert not snapshot.frameworks[ADHOC].info.checkpoint
    assert set(snapshot.updates) == {
        *(each.key for each in (UNACKNOWLEDGED, STARTING, STOPPING, CANCELLING, FINISHED)),
        REJECTED,
    }


def test_tasks_of_an_old_journal_keep_names_phases_and_containers(snapshot: Snapshot) -> None:
    core = core_of(snapshot)
    assert {task.ref: task.phase for task in core.tasks.table.values()} == PHASES
    for task in core.tasks.table.values():
        assert task.info.name == f"task {task.key.task_id}"
        assert task.info.command.environment.variables[0].value == f"/{task.key.task_id}"
    running = core.tasks.table[RUNNING.task_key]
    assert running.healthy is True
    assert running.addresses == ("172.17.0.2",)
    assert core.tasks.table[STOPPING.task_key].grace == 30.0
    assert core.tasks.table[STOPPING.task_key].cause == Cause.KILL
    assert core.tasks.table[WITHOUT_UPDATES.task_key].cause == Cause.WITHOUT_UPDATES


def test_tasks_of_an_old_journal_go_on(snapshot: Snapshot) -> None:
    shim = recovered(snapshot)
    given = shim.decision.orders
    assert {order.ref for order in of(orders.Watch, given)} == {
        RUNNING,
        UNACKNOWLEDGED,
        STARTING,
        STOPPING,
        WITHOUT_UPDATES,
    }
    assert [order.ref for order in of(orders.Launch, given)] == [STAGING]
    assert of(orders.Stop, given)[0] == orders.Stop(STOPPING, 30.0)
    assert {order.ref for order in of(orders.Remove, given)} == {FINISHED, REMOVED, CANCELLING}
    assert not of(orders.RemoveOrphan, given)
    phases = {task.ref: task.phase for task in shim.core.tasks.table.values()}
    assert phases[RUNNING] is TaskPhase.RUNNING
    assert phases[STARTING] is TaskPhase.RUNNING
    assert phases[CANCELLING] is TaskPhase.ENDED


def test_an_agent_of_an_old_journal_reregisters_with_all_its_tasks(snapshot: Snapshot) -> None:
    shim = recovered(snapshot)
    shim.detect()
    sent = of(orders.Send, shim.wait(1.0))
    (request,) = [s.message for s in sent if isinstance(s.message, m.ReregisterSlaveMessage)]
    assert request.slave.id.value == "S1"
    assert request.checkpointed_resources == snapshot.resources.resources
    reported = {task.task_id.value: task.state for task in request.tasks}
    assert reported == {
        "web.acknowledged": TaskState.TASK_RUNNING,
        "batch.unacknowledged": TaskState.TASK_RUNNING,
        "web.staging": TaskState.TASK_STAGING,
        "web.starting": TaskState.TASK_RUNNING,
        "web.stopping": TaskState.TASK_KILLING,
        "web.cancelling": TaskState.TASK_KILLED,
        "batch.finished": TaskState.TASK_FINISHED,
    }
    assert {info.id.value for info in request.frameworks} == {MARATHON, CHRONOS}


def test_updates_of_an_old_journal_are_sent_with_the_same_bytes(
    snapshot: Snapshot, old_journal: Path
) -> None:
    stored = rows(old_journal, "SELECT framework, task, value FROM updates ORDER BY seq")
    heads: dict[tuple[object, object], object] = {}
    for framework_id, task_id, value in stored:
        heads.setdefault((framework_id, task_id), value)
    shim = recovered(snapshot)
    shim.detect()
    shim.wait(1.0)
    shim.answer_registration()
    sent: dict[tuple[object, object], object] = {}
    for order in of(orders.Send, shim.decision.orders):
        message = order.message
        if isinstance(message, m.UpdateSlaveMessage):
            continue
        assert isinstance(message, m.StatusUpdateMessage)
        assert order.to == MASTER
        update = message.update
        if update.latest_state != update.status.state:  # the task has ended meanwhile
            message = m.StatusUpdateMessage.FromString(message.SerializeToString())
            message.update.latest_state = update.status.state
        key = (update.framework_id.value, update.status.task_id.value)
        sent[key] = message.SerializeToString()
    assert sent == heads


async def test_this_version_writes_the_rows_of_an_old_journal(
    old_journal: Path, tmp_path: Path
) -> None:
    journal = SqliteJournal(old_journal)
    old = journal.load()
    journal.close()
    assert old.agent is not None
    assert old.drain is not None
    batch: list[records.Record] = [
        records.SaveShimId(old.shim_id),
        records.SaveAgent(old.agent),
        records.SaveResources(old.resources),
        records.SaveDrain(old.drain),
        *map(records.AddPendingRemoval, old.pending_removals.values()),
        *(records.SaveFramework(*item) for item in old.frameworks.items()),
    ]
    for key, (info, _) in old.tasks.items():
        state = core_of(old).tasks.table[key].journal_state()
        batch.append(records.AddTask(key, info, state))
    for key, updates in old.updates.items():
        for value in updates:
            uuid = m.StatusUpdateMessage.FromString(value).update.uuid
            batch.append(records.AddUpdate(key, uuid, value))
    new = tmp_path / "new" / "journal.db"
    journal = SqliteJournal(new)
    await journal.commit(batch)
    journal.close()
    for query in (
        "SELECT * FROM meta ORDER BY name",
        "SELECT * FROM frameworks ORDER BY id",
        "SELECT * FROM tasks ORDER BY framework, task",
        "SELECT framework, task, uuid, value FROM updates ORDER BY framework, task, uuid",
        "PRAGMA user_version",
    ):
        assert rows(new, query) == rows(old_journal, query)


def test_the_container_of_a_running_task_needs_no_inspect(snapshot: Snapshot) -> None:
    needed = core_of(snapshot).recovery.needs_inspect()
    assert not needed(container(RUNNING, Phase.RUNNING))
    assert needed(container(STARTING, Phase.RUNNING))
