"""Draining: the master has all tasks killed, and launches refused until nothing is left."""

from __future__ import annotations

from shim.core.context import Context
from shim.core.frameworks import Frameworks
from shim.core.tasks import Tasks
from shim.model.orders import Level
from shim.model.records import SaveMeta
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import DrainConfig
from shim.protos.messages_pb2 import DrainSlaveMessage


class Draining:
    def __init__(self, ctx: Context, tasks: Tasks, frameworks: Frameworks) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._frameworks = frameworks

    def begin(self, message: DrainSlaveMessage) -> None:
        """Durable until it is over: a restart goes on with it."""
        if not self._frameworks.table:
            return
        self._set(message.config)
        self._ctx.notice(Level.WARNING, "draining: all tasks are killed, launches refused")
        for task in list(self._tasks.table.values()):
            self._tasks.kill(task, Cause.KILL, None, drained=True)

    def advance(self) -> None:
        """See whether it is over: nothing of any framework is left here."""
        if self._tasks.drain is not None and not self._frameworks.table:
            self._set(None)
            self._ctx.notice(Level.INFO, "drained")

    def _set(self, config: DrainConfig | None) -> None:
        self._tasks.drain = config
        value = None if config is None else config.SerializeToString()
        self._ctx.record(SaveMeta("drain", value))
