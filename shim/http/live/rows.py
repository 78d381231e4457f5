"""The rows of the live page: what one task shows, and which rows changed since a moment."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from shim import limits
from shim.core.custom_executor import CustomExecutor
from shim.core.executors import ExecutorPhase
from shim.core.history import CompletedTask
from shim.core.task import Task
from shim.http.amounts import Amount
from shim.http.executor import AnyExecutor
from shim.http.protojson import Json, dump
from shim.model.container import Ref
from shim.protos.mesos_pb2 import ExecutorInfo, TaskInfo, TaskState
from shim.protos.mesos_pb2 import Task as WireTask

SCALARS = ("cpus", "mem", "disk")
_NONE = (0.0,) * len(SCALARS)


@dataclass(frozen=True, slots=True)
class MachineTime:
    """What is paid for a container on Triton. The page adds what passes after ``at``."""

    package: str
    seconds: float
    """From its creation until ``at``, or until its removal."""
    at: float | None
    """Seconds since the epoch; None: the machine is removed."""


def row_id(ref: Ref, executor: AnyExecutor | None) -> str:
    """The id of a task's container; the tasks of a custom executor share its container."""
    if isinstance(executor, CustomExecutor):
        return f"{ref.container_id}/{ref.task_key.task_id}"
    return ref.container_id


def task_row(
    task: Task,
    framework: str,
    executor: AnyExecutor | None,
    services: Sequence[str],
    machine: MachineTime | None,
) -> Json:
    """``framework`` is its name, ``services`` its names in Consul, ``machine`` is Triton's."""
    row = _row(task.ref, task.info, task.wire, framework, executor)
    row.update(_machine_json(machine))
    row["accepted"] = task.accepted
    row["live"] = task.live
    row["addresses"] = list(task.addresses)
    if services:
        row["services"] = list(services)
    if stage := stage_of(task):
        row["stage"] = stage
        row["stage_since"] = task.steps[-1].began if task.steps else task.accepted
    return row


def completed_row(task: CompletedTask, framework: str, machine: MachineTime | None) -> Json:
    row = _row(task.ref, task.info, task.wire, framework, task.executor)
    row.update(_machine_json(machine))
    row["accepted"] = task.accepted
    row["live"] = False
    row["addresses"] = []
    return row


def executor_row(executor: AnyExecutor, framework: str, machine: MachineTime | None) -> Json:
    """An executor of a framework, under which the page groups its tasks."""
    amounts = Amount(executor.info.resources).scalars
    return {
        "id": executor.container_id,
        "executor": executor.key.executor_id,
        "name": executor.info.name,
        "framework_id": executor.key.framework_id,
        "framework": framework,
        "type": ExecutorInfo.Type.Name(executor.info.type or ExecutorInfo.CUSTOM),
        "phase": executor.phase.value,
        "accepted": executor.accepted,
        "live": executor.phase is not ExecutorPhase.TERMINATED,
        "addresses": list(executor.addresses),
        **{name: round(amounts[name], 3) for name in SCALARS},
        **_machine_json(machine),
    }


def _machine_json(machine: MachineTime | None) -> Json:
    """``machine_at`` is there while the machine is: the seconds were counted then, and grow."""
    if machine is None:
        return {}
    body: Json = {"package": machine.package, "machine_seconds": round(machine.seconds, 1)}
    if machine.at is not None:
        body["machine_at"] = round(machine.at, 1)
    return body


def _row(
    ref: Ref,
    info: TaskInfo,
    wire: WireTask,
    framework: str,
    executor: AnyExecutor | None,
) -> Json:
    row: Json = {
        "id": row_id(ref, executor),
        "container_id": ref.container_id,
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
        row["parent"] = executor.container_id if executor is not None else ""
    if wire.statuses:
        last = wire.statuses[-1]
        row["since"] = last.timestamp
        if last.message:
            row["message"] = last.message[: limits.LIVE_MESSAGE]
        if last.HasField("healthy"):
            row["healthy"] = last.healthy
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
    framework_id: str
    used: tuple[float, ...]
    """Its :data:`SCALARS`; zeros for a task that has ended."""


@dataclass(slots=True)
class RowTable:
    """Rows by their id, the last changed one last. Changes are numbered from 1."""

    number: int = 0
    """Of the newest change."""
    rows: OrderedDict[str, Row] = field(default_factory=OrderedDict)
    used: dict[str, list[float]] = field(default_factory=dict)
    """The sums over the rows of each framework."""
    _gone: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=limits.LIVE_GONE))

    def put(self, row: Json) -> None:
        id_ = row["id"]
        self._subtract(id_)
        used = tuple(row[name] if row["live"] else 0.0 for name in SCALARS)
        self.number += 1
        framework_id = row["framework_id"]
        self.rows[id_] = Row(self.number, dump(row), framework_id, used)
        self.rows.move_to_end(id_)
        before = self.used.get(framework_id, _NONE)
        self.used[framework_id] = [a + b for a, b in zip(before, used, strict=True)]

    def remove(self, id_: str) -> None:
        self._subtract(id_)
        del self.rows[id_]
        self.number += 1
        self._gone.append((self.number, id_))

    def _subtract(self, id_: str) -> None:
        if (old := self.rows.get(id_)) is not None:
            before = self.used[old.framework_id]
            self.used[old.framework_id] = [a - b for a, b in zip(before, old.used, strict=True)]

    def changed_since(self, number: int) -> list[bytes]:
        """The rows whose last change came after ``number``, oldest change first."""
        changed: list[bytes] = []
        for row in reversed(self.rows.values()):
            if row.number <= number:
                break
            changed += (row.body,)
        changed.reverse()
        return changed

    def gone_since(self, number: int) -> list[str] | None:
        """Rows removed after ``number``, newest first.

        None: too long ago, all rows have to be sent again.
        """
        if self._gone.maxlen == len(self._gone) and self._gone[0][0] > number:
            return None
        gone: list[str] = []
        for at, id_ in reversed(self._gone):
            if at <= number:
                break
            gone.append(id_)
        return gone
