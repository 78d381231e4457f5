"""The journal as an SQLite database with a write-ahead log and synchronous=FULL.

A commit holds the records of many decisions. A commit that returned is on disk; a commit that
failed left nothing. One thread of the journal's own does all disk work, so the event loop never
waits for the disk. A lock file admits one process at a time to a work_dir. A journal with a newer
schema is rejected.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, assert_never

from google.protobuf.message import DecodeError

from shim.agent.journal_codec import TABLES, Change, Verb, changes_of, read_snapshot
from shim.agent.work_dir_lock import lock_work_dir
from shim.errors import FatalError, Transient
from shim.model.records import Record, Snapshot

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE frameworks (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE tasks (
    framework TEXT, task TEXT, info BLOB NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (framework, task)
);
CREATE TABLE updates (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    framework TEXT NOT NULL, task TEXT NOT NULL, uuid BLOB NOT NULL, value BLOB NOT NULL
);
CREATE UNIQUE INDEX updates_by_uuid ON updates (framework, task, uuid);
"""


class SqliteJournal:
    """``load()`` once, then any number of ``commit()``, then ``close()``."""

    def __init__(self, path: Path) -> None:
        """Open or create the journal. Raises FatalError naming the path and the reason."""
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._lock = lock_work_dir(path.parent)
        try:
            self._db = self._thread.submit(_open, path).result()
        except BaseException as error:
            self._thread.shutdown()
            os.close(self._lock)
            if isinstance(error, sqlite3.Error | OSError):
                raise FatalError(f"journal {path}: {error}") from error
            raise

    def load(self) -> Snapshot:
        """Everything durable. Raises FatalError when the file or a value in it is damaged."""
        try:
            return self._thread.submit(_load, self._db).result()
        except (sqlite3.Error, DecodeError, UnicodeDecodeError) as error:
            raise FatalError(f"journal {self._path}: {error}") from error

    async def commit(self, batch: Sequence[Record]) -> None:
        """Make the records durable, all or none.

        Raises Transient when the disk does not take them now (full, locked): retry. Raises
        FatalError when a retry cannot help: a damaged file, or records that contradict it.
        """
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, _commit, self._db, batch)
        except sqlite3.OperationalError as error:
            raise Transient(f"journal {self._path}: {error}") from error
        except sqlite3.Error as error:
            raise FatalError(f"journal {self._path}: {error}") from error

    def may_act(self) -> bool:
        """Always: the lock file admits one process."""
        return True

    async def confirm(self) -> None:
        """Nothing is to be confirmed."""

    problem = ""
    """A disk shows its problems at a commit."""

    def close(self) -> None:
        """After the last commit has returned."""
        self._thread.submit(self._db.close).result()
        self._thread.shutdown()
        os.close(self._lock)


def peek(path: Path) -> Snapshot:
    """What is durable, also beside a running agent. Raises FatalError when it cannot be read."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            return _load(db)
        finally:
            db.close()
    except (sqlite3.Error, DecodeError, UnicodeDecodeError) as error:
        raise FatalError(f"journal {path}: {error}") from error


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    os.chmod(path, 0o600)  # TaskInfos hold environments
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise FatalError(
            f"journal {path} was written by a newer shim (version {version}, this one reads "
            f"{SCHEMA_VERSION}): upgrade, or give another --work_dir"
        )
    if version == 0:
        db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    return db


def _load(db: sqlite3.Connection) -> Snapshot:
    def rows(name: str) -> Iterable[Sequence[Any]]:
        table = TABLES[name]
        order = " ORDER BY rowid" if table.ordered else ""
        return db.execute(f"SELECT {', '.join(table.key + table.values)} FROM {name}{order}")

    return read_snapshot(rows)


def _commit(db: sqlite3.Connection, batch: Sequence[Record]) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for change in changes_of(batch):
            db.execute(*_statement(change))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _statement(change: Change) -> tuple[str, Sequence[str | bytes]]:
    """The statement and its parameters. The driver keeps the few texts that there are compiled."""
    verb, name, key, values = change
    columns = TABLES[name].key[: len(key)]
    where = " AND ".join(f"{column} = ?" for column in columns)
    match verb:
        case Verb.DROP:
            return f"DELETE FROM {name} WHERE {where}", key
        case Verb.SET:
            assigned = ", ".join(f"{column} = ?" for column in values)
            return f"UPDATE {name} SET {assigned} WHERE {where}", (*values.values(), *key)
        case Verb.ADD | Verb.PUT:
            insert = "INSERT" if verb is Verb.ADD else "INSERT OR REPLACE"
            written = ", ".join((*columns, *values))
            marks = ", ".join("?" * (len(key) + len(values)))
            return f"{insert} INTO {name} ({written}) VALUES ({marks})", (*key, *values.values())
        case _:
            assert_never(verb)
