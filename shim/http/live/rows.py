"""The rows of the live page: what one task shows, and which rows changed since a moment."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from shim import limits
from shim.core.history import CompletedTask
from shim.core.task import Task
from shim.http.amounts import Amount
from shim.http.protojson import Json, dump
from shim.model.ids import ContainerId
from shim.protos.mesos_pb2 import Task as WireTask
from shim.protos.mesos_pb2 import TaskInfo, TaskState

SCALARS = ("cpus", "mem", "disk")


def task_row(task: Task, framework: str, package: str | None) -> Json:
    """``framework`` is its name, ``package`` the task's on Triton."""
    row = _row(task.ref.container_id, task.info, task.wire, framework, package)
    row["accepted"] = task.accepted
    row["live"] = task.live
    row["addresses"] = list(task.addresses)
    if stage := stage_of(task):
        row["stage"] = stage
    return row


def completed_row(task: CompletedTask, framework: str) -> Json:
    row = _row(task.ref.container_id, task.info, task.wire, framework, None)
    row["accepted"] = task.accepted
    row["live"] = False
    row["addresses"] = []
    return row


def _row(
    container_id: ContainerId, info: TaskInfo, wire: WireTask, framework: str, package: str | None
) -> Json:
    row: Json = {
        "id": container_id,
        "task": wire.task_id.value,
        "name": wire.name,
        "framework_id": wire.framework_id.value,
        "framework": framework,
        "executor": wire.executor_id.value or wire.task_id.value,
        "state": TaskState.Name(wire.state),
        "image": image_of(info),
        **scalars_of(wire),
    }
    if wire.executor_id.value:
        row["pod"] = wire.executor_id.value
    if wire.statuses:
        last = wire.statuses[-1]
        row["since"] = last.timestamp
        if last.message:
            row["message"] = last.message[: limits.LIVE_MESSAGE]
        if last.HasField("healthy"):
            row["healthy"] = last.healthy
    if package:
        row["package"] = package
    return row


def stage_of(task: Task) -> str:
    """What a launch under way does; empty for any other task."""
    return task.stage if task.live and not task.container_running else ""


def image_of(info: TaskInfo) -> str:
    """The image as the task names it; empty for a task without one."""
    return info.container.docker.image or info.container.mesos.image.docker.name


def scalars_of(wire: WireTask) -> dict[str, float]:
    """cpus, mem and disk (MB) that the task has."""
    amounts = Amount(wire.resources).scalars
    return {name: round(amounts[name], 3) for name in SCALARS}


@dataclass(frozen=True, slots=True)
class Row:
    number: int
    """Of its last change."""
    body: bytes
    """JSON."""
    used: tuple[float, ...]
    """Its :data:`SCALARS`; zeros for a task that has ended."""


@dataclass(slots=True)
class RowTable:
    """Rows by container id, the last changed one last. Changes are numbered from 1."""

    number: int = 0
    """Of the newest change."""
    rows: OrderedDict[ContainerId, Row] = field(default_factory=OrderedDict)
    used: list[float] = field(default_factory=lambda: [0.0] * len(SCALARS))
    """The sum over all rows."""
    _gone: deque[tuple[int, ContainerId]] = field(
        default_factory=lambda: deque(maxlen=limits.LIVE_GONE)
    )

    def put(self, container_id: ContainerId, row: Json) -> None:
        self._subtract(container_id)
        used = tuple(row[name] if row["live"] else 0.0 for name in SCALARS)
        self.number += 1
        self.rows[container_id] = Row(self.number, dump(row), used)
        self.rows.move_to_end(container_id)
        self.used = [a + b for a, b in zip(self.used, used, strict=True)]

    def remove(self, container_id: ContainerId) -> None:
        self._subtract(container_id)
        del self.rows[container_id]
        self.number += 1
        self._gone.append((self.number, container_id))

    def _subtract(self, container_id: ContainerId) -> None:
        if (old := self.rows.get(container_id)) is not None:
            self.used = [a - b for a, b in zip(self.used, old.used, strict=True)]

    def changed_since(self, number: int) -> list[bytes]:
        """The rows whose last change came after ``number``, oldest change first."""
        newest_first: Iterator[Row] = reversed(self.rows.values())
        changed = [row.body for row in takewhile(lambda row: row.number > number, newest_first)]
        changed.reverse()
        return changed

    def gone_since(self, number: int) -> list[ContainerId] | None:
        """Rows removed after ``number``. None: too long ago, all rows have to be sent again."""
        if self._gone.maxlen == len(self._gone) and self._gone[0][0] > number:
            return None
        return [container_id for at, container_id in self._gone if at > number]
