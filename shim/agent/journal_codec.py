"""Records as rows of the journal, and rows as a snapshot. The one place that knows both.

Every store of the journal has the tables of :data:`TABLES`. :func:`changes_of` says what a record
changes in their rows, :func:`read_snapshot` reads the rows. A store knows tables, keys and values,
and nothing of records: a new kind of record needs no change in a store.

Table ``meta`` holds one row for each of the agent's own records::

    name                value
    shim_id             the id's text
    agent               shim.journal.Agent
    unanswered_request  "1" while a re-registration request has no answer
    resources           shim.journal.Resources
    volume/NAME         shim.journal.PersistentVolume
    operation/UUID      mesos.Operation; the UUID as 32 hexadecimal digits
    drain               mesos.DrainConfig
    doomed/CONTAINER    FRAMEWORK "\\n" TASK      a pending removal of this container
                        FRAMEWORK "\\n\\n" EXECUTOR    the same, of an executor's own container
    executor/CONTAINER  shim.journal.Executor
    acknowledged/UUID   mesos.internal.StatusUpdateMessage    an acknowledged terminal update

Table ``frameworks`` holds one ``shim.journal.Framework`` per framework. The values of tables
``tasks`` and ``updates`` are bytes already in their records.

The names and the encodings are on users' disks: a change needs a new ``SCHEMA_VERSION`` and a
migration.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, assert_never, get_args

from shim.model import records
from shim.model.container import Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey
from shim.model.records import AgentRecord, Record, Snapshot
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import DrainConfig

Key = tuple[str | bytes, ...]


class Table(NamedTuple):
    """The columns of a table."""

    key: tuple[str, ...]
    values: tuple[str, ...]
    ordered: bool = False
    """Rows are read in the order in which they were added; else in the order of their keys."""


TABLES: Mapping[str, Table] = {
    "meta": Table(("name",), ("value",)),
    "frameworks": Table(("id",), ("value",)),
    "tasks": Table(("framework", "task"), ("info", "state"), ordered=True),
    "updates": Table(("framework", "task", "uuid"), ("value",), ordered=True),
}


class Verb(enum.Enum):
    ADD = "add a row that does not exist"
    PUT = "write a row over the one before"
    SET = "write some values of a row; without effect when it does not exist"
    DROP = "remove the rows whose key begins with this one"


class Change(NamedTuple):
    """One change of the rows of a table."""

    verb: Verb
    table: str
    key: Key
    """Of a DROP it may be the first columns only."""
    values: Mapping[str, bytes] = {}
    """By column; empty for a DROP."""


_SHIM_ID = "shim_id"
_AGENT = "agent"
_UNANSWERED_REQUEST = "unanswered_request"
_RESOURCES = "resources"
_DRAIN = "drain"
_PENDING_REMOVAL = "doomed/"
"""Prefix of the rows of pending removals."""
_EXECUTOR = "executor/"
_VOLUME = "volume/"
_OPERATION = "operation/"
_ACKNOWLEDGED_END = "acknowledged/"
"""Prefix of the rows of acknowledged terminal updates."""


def meta_row(record: AgentRecord) -> tuple[str, bytes | None]:
    """Name and value of the row; the value None removes the row."""
    match record:
        case records.SaveShimId(shim_id):
            return _SHIM_ID, shim_id.encode()
        case records.SaveAgent(agent):
            return _AGENT, agent.SerializeToString()
        case records.DropAgent():
            return _AGENT, None
        case records.AddUnansweredRequest():
            return _UNANSWERED_REQUEST, b"1"
        case records.DropUnansweredRequest():
            return _UNANSWERED_REQUEST, None
        case records.SaveResources(resources):
            return _RESOURCES, resources.SerializeToString()
        case records.SaveVolume(name, value):
            return _VOLUME + name, value
        case records.DropVolume(name):
            return _VOLUME + name, None
        case records.SaveOperation(uuid, value):
            return _OPERATION + uuid.hex(), value
        case records.DropOperation(uuid):
            return _OPERATION + uuid.hex(), None
        case records.SaveDrain(config):
            return _DRAIN, config.SerializeToString()
        case records.DropDrain():
            return _DRAIN, None
        case records.AddPendingRemoval(ref):
            return _PENDING_REMOVAL + ref.container_id, _removal_value(ref.key)
        case records.DropPendingRemoval(container_id):
            return _PENDING_REMOVAL + container_id, None
        case records.SaveExecutor(container_id, value):
            return _EXECUTOR + container_id, value
        case records.DropExecutor(container_id):
            return _EXECUTOR + container_id, None
        case records.AddAcknowledgedEnd(uuid, value):
            return _ACKNOWLEDGED_END + uuid.hex(), value
        case records.DropAcknowledgedEnd(uuid):
            return _ACKNOWLEDGED_END + uuid.hex(), None
        case _:
            assert_never(record)


def read_meta(rows: Iterable[tuple[str, bytes]], snapshot: Snapshot) -> None:
    """Put the rows of table ``meta`` into the snapshot. Rows of unknown names are ignored.

    Raises google's DecodeError, or UnicodeDecodeError, on a damaged value.
    """
    for name, value in rows:
        if name == _SHIM_ID:
            snapshot.shim_id = value.decode()
        elif name == _AGENT:
            snapshot.agent = journal_pb2.Agent.FromString(value)
        elif name == _UNANSWERED_REQUEST:
            snapshot.unanswered_request = True
        elif name == _RESOURCES:
            snapshot.resources = journal_pb2.Resources.FromString(value)
        elif name == _DRAIN:
            snapshot.drain = DrainConfig.FromString(value)
        elif name.startswith(_PENDING_REMOVAL):
            container_id = ContainerId(name.removeprefix(_PENDING_REMOVAL))
            snapshot.pending_removals[container_id] = Ref(_removal_key(value), container_id)
        elif name.startswith(_EXECUTOR):
            snapshot.executors[ContainerId(name.removeprefix(_EXECUTOR))] = value
        elif name.startswith(_VOLUME):
            snapshot.volumes[name.removeprefix(_VOLUME)] = value
        elif name.startswith(_OPERATION):
            snapshot.operations[bytes.fromhex(name.removeprefix(_OPERATION))] = value
        elif name.startswith(_ACKNOWLEDGED_END):
            snapshot.acknowledged_ends.append(value)


def _removal_value(key: TaskKey | ExecutorKey) -> bytes:
    """Neither id contains a line break, and no task id is empty."""
    if isinstance(key, ExecutorKey):
        return f"{key.framework_id}\n\n{key.executor_id}".encode()
    return f"{key.framework_id}\n{key.task_id}".encode()


def _removal_key(value: bytes) -> TaskKey | ExecutorKey:
    framework_id, _, rest = value.decode().partition("\n")
    task_id, _, executor_id = rest.partition("\n")
    if not task_id:
        return ExecutorKey(FrameworkId(framework_id), ExecutorId(executor_id))
    return TaskKey(FrameworkId(framework_id), TaskId(task_id))


def framework_row(record: records.SaveFramework) -> tuple[str, bytes]:
    """Id and value of the row."""
    return record.framework_id, record.framework.SerializeToString()


def read_framework(value: bytes) -> journal_pb2.Framework:
    """Raises google's DecodeError on a damaged value."""
    return journal_pb2.Framework.FromString(value)


def changes_of(batch: Iterable[Record]) -> Iterable[Change]:
    """What the records change, in their order."""
    for record in batch:
        yield _CHANGES[type(record)](record)


def _change_meta(r: AgentRecord) -> Change:
    name, value = meta_row(r)
    if value is None:
        return Change(Verb.DROP, "meta", (name,))
    return Change(Verb.PUT, "meta", (name,), {"value": value})


def _save_framework(r: records.SaveFramework) -> Change:
    framework_id, value = framework_row(r)
    return Change(Verb.PUT, "frameworks", (framework_id,), {"value": value})


_CHANGES: dict[type, Callable[[Any], Change]] = {
    **dict.fromkeys(get_args(AgentRecord), _change_meta),
    records.SaveFramework: _save_framework,
    records.DropFramework: lambda r: Change(Verb.DROP, "frameworks", (r.framework_id,)),
    records.AddTask: lambda r: Change(
        Verb.ADD, "tasks", tuple(r.key), {"info": r.info, "state": r.state}
    ),
    records.SaveTask: lambda r: Change(Verb.SET, "tasks", tuple(r.key), {"state": r.state}),
    records.DropTask: lambda r: Change(Verb.DROP, "tasks", tuple(r.key)),
    records.AddUpdate: lambda r: Change(Verb.ADD, "updates", (*r.key, r.uuid), {"value": r.value}),
    records.DropUpdate: lambda r: Change(Verb.DROP, "updates", (*r.key, r.uuid)),
    records.DropUpdates: lambda r: Change(Verb.DROP, "updates", tuple(r.key)),
}


def read_snapshot(rows: Callable[[str], Iterable[Sequence[Any]]]) -> Snapshot:
    """The snapshot of all rows; ``rows(table)`` gives keys and values, as :data:`TABLES` has them.

    Raises google's DecodeError, or UnicodeDecodeError, on a damaged value.
    """
    snapshot = Snapshot()
    read_meta(((name, value) for name, value in rows("meta")), snapshot)
    for framework_id, value in rows("frameworks"):
        snapshot.frameworks[FrameworkId(framework_id)] = read_framework(value)
    for framework_id, task_id, info, state in rows("tasks"):
        snapshot.tasks[_task_key(framework_id, task_id)] = (info, state)
    for framework_id, task_id, _, value in rows("updates"):
        snapshot.updates.setdefault(_task_key(framework_id, task_id), []).append(value)
    return snapshot


def _task_key(framework_id: str, task_id: str) -> TaskKey:
    return TaskKey(FrameworkId(framework_id), TaskId(task_id))
