"""Draining: on the master's request all tasks are killed, and launches rejected until none is left.

The drain is durable: a restarted agent continues it. It is over when no framework has a task or
an unacknowledged update here, and every operation is acknowledged.
"""

from __future__ import annotations

from shim.core.context import Context
from shim.core.frameworks import Frameworks
from shim.core.operations import Operations
from shim.core.tasks import Tasks
from shim.model.orders import Level
from shim.model.records import DropDrain, SaveDrain
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import DrainConfig
from shim.protos.messages_pb2 import DrainSlaveMessage


class Draining:
    def __init__(
        self, ctx: Context, tasks: Tasks, frameworks: Frameworks, operations: Operations
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._frameworks = frameworks
        self._operations = operations

    @property
    def _is_empty(self) -> bool:
        return not self._frameworks.table and not len(self._operations)

    def begin(self, message: DrainSlaveMessage) -> None:
        """Kill all tasks. An agent without frameworks and operations has nothing to drain."""
        if self._is_empty:
            return
        config = DrainConfig()
        config.CopyFrom(message.config)
        self._tasks.drain = config
        self._ctx.record(SaveDrain(config))
        self._ctx.notice(Level.WARNING, "draining: all tasks are killed, launches rejected")
        for task in list(self._tasks.table.values()):
            self._tasks.kill(task, Cause.KILL, None, drained=True)
        self._tasks.custom_executors.shut_down_unused()

    def advance(self) -> None:
        """End the drain once no framework and no operation has anything here."""
        if self._tasks.drain is not None and self._is_empty:
            self._tasks.drain = None
            self._ctx.record(DropDrain())
            self._ctx.notice(Level.INFO, "drained")
