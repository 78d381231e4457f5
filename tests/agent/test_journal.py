"""Commits are durable, all or nothing; a disk that does not take one raises."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shim.agent import journal as journal_module
from shim.agent.journal import SqliteJournal
from shim.errors import FatalError, Transient
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.records import (
    AddPendingRemoval,
    AddTask,
    AddUpdate,
    DropDrain,
    DropFramework,
    DropTask,
    DropUpdate,
    DropUpdates,
    Record,
    SaveDrain,
    SaveFramework,
    SaveShimId,
    SaveTask,
    Snapshot,
)
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import DrainConfig, FrameworkInfo

F = FrameworkId("F")
A, B = TaskKey(F, TaskId("a")), TaskKey(F, TaskId("b"))
FRAMEWORK = journal_pb2.Framework(info=FrameworkInfo(user="u", name="n"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "work" / "journal.db"


def python(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def reopened(path: Path) -> Snapshot:
    journal = SqliteJournal(path)
    try:
        return journal.load()
    finally:
        journal.close()


async def committed(path: Path, *batches: list[Record]) -> Snapshot:
    journal = SqliteJournal(path)
    for batch in batches:
        await journal.commit(batch)
    journal.close()
    return reopened(path)


def test_a_new_journal_is_empty(path: Path) -> None:
    assert reopened(path) == Snapshot()


async def test_all_records_are_loaded_again(path: Path) -> None:
    snapshot = await committed(
        path,
        [
            SaveShimId("one"),
            SaveFramework(F, FRAMEWORK),
            AddTask(A, b"info", b"one"),
            AddUpdate(A, b"u1", b"first"),
        ],
        [SaveTask(A, b"two"), AddUpdate(A, b"u2", b"second")],
        [AddTask(B, b"other", b"state"), SaveShimId("two")],
    )
    assert snapshot == Snapshot(
        shim_id="two",
        frameworks={F: FRAMEWORK},
        tasks={A: (b"info", b"two"), B: (b"other", b"state")},
        updates={A: [b"first", b"second"]},
    )


async def test_dropped_records_are_gone(path: Path) -> None:
    snapshot = await committed(
        path,
        [
            SaveDrain(DrainConfig()),
            SaveFramework(F, FRAMEWORK),
            AddTask(A, b"", b""),
            AddTask(B, b"", b""),
            AddUpdate(A, b"u1", b"first"),
            AddUpdate(A, b"u2", b"second"),
            AddUpdate(B, b"u1", b"b1"),
            AddUpdate(B, b"u2", b"b2"),
        ],
        [DropDrain(), DropFramework(F), DropTask(B)],
        [DropUpdate(A, b"u1"), DropUpdates(B)],
    )
    assert snapshot == Snapshot(tasks={A: (b"", b"")}, updates={A: [b"second"]})


async def test_updates_keep_their_order_and_outlive_their_task(path: Path) -> None:
    uuids = [bytes([i]) for i in random.Random(1).sample(range(256), 50)]
    added: list[Record] = [AddUpdate(A, uuid, uuid) for uuid in uuids]
    snapshot = await committed(path, [AddTask(A, b"", b""), *added], [DropTask(A)])
    assert snapshot.updates == {A: uuids}
    assert snapshot.tasks == {}


async def test_tasks_are_loaded_in_the_order_of_acceptance(path: Path) -> None:
    keys = [TaskKey(F, TaskId(f"t{i}")) for i in random.Random(2).sample(range(100), 30)]
    snapshot = await committed(path, [AddTask(key, b"", b"") for key in keys])
    assert list(snapshot.tasks) == keys


async def test_ids_may_hold_any_character_and_values_any_bytes(path: Path) -> None:
    strange = TaskKey(FrameworkId("ü' OR 1=1"), TaskId("\n\u2028"))
    big = os.urandom(3 * 1024 * 1024)
    snapshot = await committed(path, [AddTask(strange, big, b"\0")])
    assert snapshot.tasks == {strange: (big, b"\0")}


# --- all or nothing -------------------------------------------------------------------------------


async def test_a_contradicting_batch_is_fatal_and_leaves_nothing(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.commit([AddTask(A, b"", b"")])
    with pytest.raises(FatalError, match=r"journal.*UNIQUE"):
        await journal.commit([SaveShimId("x"), AddTask(A, b"", b"")])
    await journal.commit([SaveShimId("y")])
    journal.close()
    assert reopened(path).shim_id == "y"


def batch_of(number: int) -> list[Record]:
    key = TaskKey(F, TaskId(str(number)))
    state = str(number).encode()
    return [
        SaveShimId(str(number)),
        AddTask(key, b"x" * 300, state),
        AddUpdate(key, state, b"y" * 500),
    ]


def is_prefix(snapshot: Snapshot, count: int) -> int:
    """How many batches are loaded: each whole, none missing in between."""
    kept = len(snapshot.tasks)
    assert kept <= count
    keys = [TaskKey(F, TaskId(str(i))) for i in range(kept)]
    assert list(snapshot.tasks) == keys
    assert list(snapshot.updates) == keys
    assert snapshot.shim_id == (str(kept - 1) if kept else "")
    return kept


async def test_a_torn_log_holds_a_prefix_of_the_commits(path: Path, tmp_path: Path) -> None:
    count = 40
    journal = SqliteJournal(path)
    for number in range(count):
        await journal.commit(batch_of(number))
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size
    rng = random.Random(3)
    found = set()
    for i, length in enumerate([0, 1, 31, 32, 33, size - 1, size, *rng.sample(range(size), 25)]):
        copy = tmp_path / str(i) / path.name
        copy.parent.mkdir()
        shutil.copy(path, copy)
        torn = log.read_bytes()[:length]
        (copy.parent / log.name).write_bytes(torn)
        found.add(is_prefix(reopened(copy), count))
    journal.close()
    assert 0 in found
    assert count in found
    assert len(found) > 10


async def test_a_damaged_tail_holds_a_prefix_of_the_commits(path: Path, tmp_path: Path) -> None:
    count = 20
    journal = SqliteJournal(path)
    for number in range(count):
        await journal.commit(batch_of(number))
    log = path.with_name(path.name + "-wal")
    data = log.read_bytes()
    rng = random.Random(4)
    for i, at in enumerate(rng.sample(range(len(data)), 15)):
        copy = tmp_path / str(i) / path.name
        copy.parent.mkdir()
        shutil.copy(path, copy)
        damaged = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        (copy.parent / log.name).write_bytes(damaged)
        is_prefix(reopened(copy), count)
    journal.close()


async def test_a_returned_commit_survives_kill_9(path: Path, tmp_path: Path) -> None:
    """A copy of the open files is what kill -9 leaves."""
    journal = SqliteJournal(path)
    for number in range(10):
        await journal.commit(batch_of(number))
        copy = tmp_path / f"copy{number}"
        shutil.copytree(path.parent, copy)
        assert is_prefix(reopened(copy / path.name), 10) == number + 1
    journal.close()


# --- a failing disk -------------------------------------------------------------------------------

_FULL = """
import asyncio, resource, sys
from pathlib import Path
from shim.errors import Transient
from shim.agent.journal import SqliteJournal
from shim.model.container import Ref
from shim.model.ids import ContainerId, TaskKey
from shim.model.records import AddPendingRemoval, SaveShimId

def big(number):
    return AddPendingRemoval(Ref(TaskKey("F", "x" * 9_000), ContainerId(str(number))))

def left(journal):
    snapshot = journal.load()
    return snapshot.shim_id, len(snapshot.pending_removals)

async def main(path):
    journal = SqliteJournal(path)
    await journal.commit([SaveShimId("before")])
    size = max(file.stat().st_size for file in path.parent.iterdir()) + 40_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        await journal.commit([big(number) for number in range(50)])
    except Transient as error:
        print("refused:", error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    print("left:", left(journal))
    await journal.commit([SaveShimId("after")])
    print("then:", left(journal))
    journal.close()

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_full_disk_is_transient_and_leaves_no_partial_commit(path: Path) -> None:
    done = python(_FULL, path)
    assert done.returncode == 0, done.stderr
    refused, left, then = done.stdout.splitlines()
    assert refused.startswith(f"refused: journal {path}: ")
    assert left == "left: ('before', 0)"
    assert then == "then: ('after', 0)"
    assert reopened(path) == Snapshot(shim_id="after")


async def test_a_locked_database_is_transient(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = SqliteJournal(path)
    journal._thread.submit(journal._db.execute, "PRAGMA busy_timeout = 1").result()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient, match="locked"):
        await journal.commit([SaveShimId("x")])
    other.execute("ROLLBACK")
    other.close()
    await journal.commit([SaveShimId("x")])
    assert journal.load().shim_id == "x"
    journal.close()


_SECOND = """
import sys
from pathlib import Path
from shim.agent.journal import SqliteJournal
SqliteJournal(Path(sys.argv[1]))
"""


# --- opening --------------------------------------------------------------------------------------


def test_a_second_shim_is_rejected_with_the_pid_of_the_first(path: Path) -> None:
    journal = SqliteJournal(path)
    with pytest.raises(
        FatalError, match=rf"--work_dir .*in use by another shim \(pid {os.getpid()}\)"
    ):
        SqliteJournal(path)
    done = python(_SECOND, path)
    assert f"pid {os.getpid()}" in done.stderr
    journal.close()
    reopened(path)


def test_a_newer_journal_is_rejected_and_unchanged(path: Path) -> None:
    SqliteJournal(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {journal_module.SCHEMA_VERSION + 1}")
    db.close()
    for _ in range(2):
        with pytest.raises(FatalError, match="newer shim") as refused:
            SqliteJournal(path)
        assert str(path) in str(refused.value)


def test_a_file_that_is_no_database_is_rejected(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(FatalError, match=r"journal .*not a database"):
        SqliteJournal(path)


def test_a_work_dir_that_cannot_be_created_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalError, match="--work_dir"):
        SqliteJournal(tmp_path / "file" / "journal.db")


def test_only_the_owner_may_read_the_file(path: Path) -> None:
    SqliteJournal(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_commit_is_synced(path: Path) -> None:
    journal = SqliteJournal(path)

    def pragma(name: str) -> Any:
        return journal._db.execute(f"PRAGMA {name}").fetchone()[0]

    names = ("journal_mode", "synchronous")
    assert [journal._thread.submit(pragma, name).result() for name in names] == ["wal", 2]
    journal.close()


async def test_the_event_loop_runs_while_a_commit_is_written(path: Path) -> None:
    journal = SqliteJournal(path)
    batch: list[Record] = [
        AddPendingRemoval(Ref(TaskKey(F, TaskId("x" * 500)), ContainerId(str(i))))
        for i in range(20_000)
    ]
    commit = asyncio.create_task(journal.commit(batch))
    turns = 0
    while not commit.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    journal.close()
