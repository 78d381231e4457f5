"""Ending the agent for good: told to by the master, by the operator, or after a clean-up."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from shim import limits
from shim.core.context import Context
from shim.core.registration import Registration
from shim.core.status_updates import StatusUpdateManager
from shim.core.tasks import Tasks
from shim.model.orders import Exit, Level, Send
from shim.model.records import SaveMeta
from shim.protos.journal_pb2 import Cause
from shim.protos.messages_pb2 import UnregisterSlaveMessage


class Mode(enum.Enum):
    DISMISSED = "the master sent a ShutdownMessage"
    LEAVING = "the operator asked"
    CLEANUP = "--recover=cleanup"


@dataclass(slots=True)
class _Plan:
    mode: Mode
    reason: str
    forget: bool
    """The agent id is of no use any more."""


class Shutdown:
    """Kill everything, wait until it is gone, say goodbye where that means anything, exit."""

    def __init__(
        self, ctx: Context, tasks: Tasks, streams: StatusUpdateManager, registration: Registration
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._streams = streams
        self._registration = registration
        self._plan: _Plan | None = None
        self._done = False
        self._deadline: float | None = None

    @property
    def under_way(self) -> bool:
        return self._plan is not None

    def begin(self, mode: Mode, reason: str, *, forget: bool) -> None:
        if self._plan is not None:
            return
        self._plan = _Plan(mode, reason, forget)
        self._ctx.notice(Level.WARNING, f"ending all tasks: {reason}")
        if mode is not Mode.LEAVING:
            self._registration.end()
        for task in list(self._tasks.table.values()):
            if mode is Mode.LEAVING:
                self._tasks.kill(task, Cause.KILL, None)
            else:
                self._tasks.mute(task)

    def advance(self) -> None:
        """See whether it is over."""
        if self._plan is None or self._done:
            return
        if self._tasks.doomed or any(task.live for task in self._tasks.table.values()):
            return
        if self._plan.mode is Mode.LEAVING and len(self._streams) and not self._impatient():
            return
        self._finish(self._plan)

    def _impatient(self) -> bool:
        """The updates that are left had their time to be acknowledged."""
        timers, now = self._ctx.timers, self._ctx.now.mono
        if self._deadline is None:
            self._deadline = now + limits.LEAVE_PATIENCE
            timers.set("leave", self._deadline)
        return now >= self._deadline

    def _finish(self, plan: _Plan) -> None:
        ctx = self._ctx
        self._done = True
        if plan.mode is Mode.LEAVING and ctx.connected and ctx.master and ctx.agent_id:
            goodbye = UnregisterSlaveMessage()
            goodbye.slave_id.value = ctx.agent_id
            ctx.order(Send(ctx.master, goodbye))
        self._registration.end()
        if plan.forget:
            self._tasks.silence_all()
            ctx.record(SaveMeta("agent", None))
        ctx.record(SaveMeta("drain", None))
        ctx.order(Exit(1 if plan.mode is Mode.DISMISSED else 0, plan.reason))
