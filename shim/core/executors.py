"""The executors that frameworks run on this agent: DEFAULT ones, of task groups, and CUSTOM ones.

The executors of command tasks are not among them. What an executor does in its phases is the
business of its type: :mod:`shim.core.default_executor` has the table of DEFAULT executors.

===========  ==========================================================================
REGISTERING  its own container is being launched; its tasks are queued
RUNNING      it takes tasks
TERMINATING  it is shutting down; its last tasks are being ended
TERMINATED   none of its tasks lives; it is known until their last update is acknowledged
===========  ==========================================================================

The master books an executor's resources when it launches it. ExitedExecutorMessage frees them: it
is sent when the executor is forgotten, and for each launch of an executor that is rejected. See
:mod:`shim.core.executor_exits`. A re-registration lists all executors that are not TERMINATED.
"""

from __future__ import annotations

import enum
import uuid as uuidlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shim.core.context import Context
from shim.core.executor_exits import ExecutorExits
from shim.model.container import Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskKey
from shim.model.records import DropExecutor, SaveExecutor
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import ExecutorInfo


class ExecutorPhase(enum.Enum):
    REGISTERING = "registering"
    RUNNING = "running"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


@dataclass(slots=True, eq=False)
class Executor:
    """One executor. Its tasks hold a reference to it."""

    key: ExecutorKey
    container_id: ContainerId
    """Mesos' ContainerID: of its own container, and the parent of its tasks' containers."""
    info: ExecutorInfo
    """As received, with its framework id."""
    phase: ExecutorPhase
    accepted: float
    """Seconds since the epoch."""
    has_container: bool
    """It has, or will have, a container of its own."""
    addresses: tuple[str, ...] = ()
    """Of its own container."""
    groups: int = 0
    """How many task groups it was given."""
    unhealthy: bool = False
    """A task of it was killed as unhealthy: all later terminal updates say ``healthy: false``."""
    exit_status: int = 0
    """For ExitedExecutorMessage: as wait(2) gives it, or -1."""
    task_keys: dict[TaskKey, None] = field(default_factory=dict)
    """Its tasks until their terminal update is acknowledged, oldest first."""

    @property
    def ref(self) -> Ref:
        return Ref(self.key, self.container_id)

    def journal_value(self) -> bytes:
        """A serialized ``shim.journal.Executor``."""
        return journal_pb2.Executor(
            info=self.info,
            container_id=self.container_id,
            phase=self.phase.value,
            accepted=self.accepted,
            has_container=self.has_container,
            addresses=self.addresses,
            groups=self.groups,
            unhealthy=self.unhealthy,
            exit_status=self.exit_status,
        ).SerializeToString()

    @classmethod
    def restore(cls, value: bytes) -> Executor:
        """The executor from its journal record. Raises google's DecodeError on a damaged one."""
        saved = journal_pb2.Executor.FromString(value)
        return cls(
            key_of(saved.info),
            ContainerId(saved.container_id),
            saved.info,
            ExecutorPhase(saved.phase),
            saved.accepted,
            saved.has_container,
            tuple(saved.addresses),
            saved.groups,
            saved.unhealthy,
            saved.exit_status,
        )


def key_of(info: ExecutorInfo) -> ExecutorKey:
    """``info`` must have its framework id."""
    return ExecutorKey(FrameworkId(info.framework_id.value), ExecutorId(info.executor_id.value))


class Executors(Mapping[ExecutorKey, Executor]):
    """All of them, oldest first."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.exits = ExecutorExits(ctx)
        self._table: dict[ExecutorKey, Executor] = {}

    def __getitem__(self, key: ExecutorKey) -> Executor:
        return self._table[key]

    def __iter__(self) -> Iterator[ExecutorKey]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def add(
        self, info: ExecutorInfo, framework_id: FrameworkId, *, has_container: bool
    ) -> Executor:
        """A new executor under a new container id. The caller records it with :meth:`save`.

        An executor without a container of its own is RUNNING at once.
        """
        own = ExecutorInfo()
        own.CopyFrom(info)
        own.framework_id.value = framework_id
        executor = Executor(
            key_of(own),
            ContainerId(str(uuidlib.UUID(bytes=self._ctx.entropy.uuid()))),
            own,
            ExecutorPhase.REGISTERING if has_container else ExecutorPhase.RUNNING,
            self._ctx.now.wall,
            has_container,
        )
        self._table[executor.key] = executor
        self.exits.launched(executor.key)
        return executor

    def save(self, executor: Executor) -> None:
        """Record the executor as it is now."""
        self._ctx.record(SaveExecutor(executor.container_id, executor.journal_value()))

    def drop(self, executor: Executor) -> None:
        """Forget an executor without tasks, and report its exit to the master."""
        del self._table[executor.key]
        self._ctx.record(DropExecutor(executor.container_id))
        self.send_exited(executor.key, executor.exit_status)

    def send_exited(self, key: ExecutorKey, status: int = -1) -> None:
        """Have the master free what it booked for the executor."""
        self.exits.report(key, status)

    def restore(self, saved: Mapping[ContainerId, bytes]) -> None:
        """Of the journal's executors, the DEFAULT ones."""
        default = [
            value
            for value in saved.values()
            if not journal_pb2.Executor.FromString(value).HasField("custom")
        ]
        restored = sorted(map(Executor.restore, default), key=lambda e: e.accepted)
        self._table.update((executor.key, executor) for executor in restored)
