"""Records as rows of the journal, and rows as a snapshot. The one place that knows both.

Table ``meta`` holds one row for each of the agent's own records::

    name                value
    shim_id             the id's text
    agent               shim.journal.Agent
    resources           shim.journal.Resources
    drain               mesos.DrainConfig
    doomed/CONTAINER    FRAMEWORK "\\n" TASK      a pending removal of this container
                        FRAMEWORK "\\n\\n" EXECUTOR    the same, of an executor's own container
    executor/CONTAINER  shim.journal.Executor

Table ``frameworks`` holds one ``shim.journal.Framework`` per framework. The values of tables
``tasks`` and ``updates`` are bytes already in their records.

The names and the encodings are on users' disks: a change needs a new ``SCHEMA_VERSION`` and a
migration.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from shim.model import records
from shim.model.container import Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey
from shim.model.records import AgentRecord, Snapshot
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import DrainConfig

_SHIM_ID = "shim_id"
_AGENT = "agent"
_RESOURCES = "resources"
_DRAIN = "drain"
_PENDING_REMOVAL = "doomed/"
"""Prefix of the rows of pending removals."""
_EXECUTOR = "executor/"


def meta_row(record: AgentRecord) -> tuple[str, bytes | None]:
    """Name and value of the row; the value None removes the row."""
    match record:
        case records.SaveShimId(shim_id):
            return _SHIM_ID, shim_id.encode()
        case records.SaveAgent(agent):
            return _AGENT, agent.SerializeToString()
        case records.DropAgent():
            return _AGENT, None
        case records.SaveResources(resources):
            return _RESOURCES, resources.SerializeToString()
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
        elif name == _RESOURCES:
            snapshot.resources = journal_pb2.Resources.FromString(value)
        elif name == _DRAIN:
            snapshot.drain = DrainConfig.FromString(value)
        elif name.startswith(_PENDING_REMOVAL):
            container_id = ContainerId(name.removeprefix(_PENDING_REMOVAL))
            snapshot.pending_removals[container_id] = Ref(_removal_key(value), container_id)
        elif name.startswith(_EXECUTOR):
            snapshot.executors[ContainerId(name.removeprefix(_EXECUTOR))] = value


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
