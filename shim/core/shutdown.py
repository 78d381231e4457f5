"""Ending the agent for good: on the master's or the operator's order, or for ``--recover=cleanup``.

::

    begin(mode) --> KILLING --(no live task, no pending removal)--> ACKNOWLEDGING --> FINISHED
                                                                    (LEAVING only)

KILLING         all tasks are killed, their containers removed
ACKNOWLEDGING   the agent waits for acknowledgements, ``limits.LEAVE_TIMEOUT`` seconds at most
FINISHED        the agent unregisters where that has an effect, and the process exits

==================  ===========  ==================  ============  ===========
mode                registered   status updates      unregisters   exit code
==================  ===========  ==================  ============  ===========
MASTER_SHUTDOWN     no           suppressed          no            1
LEAVING             yes          sent                yes           0
CLEANUP             no           suppressed          no            0
==================  ===========  ==================  ============  ===========

A ShutdownMessage turns LEAVING into MASTER_SHUTDOWN.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from shim import limits
from shim.core.context import Context
from shim.core.operations import Operations
from shim.core.registration import Registration
from shim.core.status_updates import StatusUpdateManager
from shim.core.tasks import Tasks
from shim.core.timers import ShutdownTimer
from shim.model.orders import Exit, Level, Send
from shim.model.records import DropAgent, DropDrain
from shim.protos.journal_pb2 import Cause
from shim.protos.messages_pb2 import UnregisterSlaveMessage


class Mode(enum.Enum):
    """Why the agent ends. The values appear in the log."""

    MASTER_SHUTDOWN = "the master sent a ShutdownMessage"
    LEAVING = "the operator asked"
    CLEANUP = "--recover=cleanup"


class _Phase(enum.Enum):
    KILLING = enum.auto()
    ACKNOWLEDGING = enum.auto()
    FINISHED = enum.auto()


@dataclass(slots=True)
class _Plan:
    mode: Mode
    reason: str
    forget: bool
    """Drop the agent id: the master does not accept it any more."""
    phase: _Phase = _Phase.KILLING
    deadline: float = 0.0
    """Of phase ACKNOWLEDGING, in monotonic seconds."""


class Shutdown:
    def __init__(
        self,
        ctx: Context,
        tasks: Tasks,
        status_updates: StatusUpdateManager,
        registration: Registration,
        operations: Operations,
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._status_updates = status_updates
        self._registration = registration
        self._operations = operations
        self._plan: _Plan | None = None

    @property
    def in_progress(self) -> bool:
        return self._plan is not None

    def begin(self, mode: Mode, reason: str, *, forget: bool) -> None:
        """Kill all tasks and executors, then exit. A second call has no effect, with one exception:
        a master that orders a shutdown takes no updates of an agent that leaves any more.
        """
        if self._plan is not None and not self._is_overruled_by(mode):
            return
        self._plan = _Plan(mode, reason, forget)
        self._ctx.notice(Level.WARNING, f"ending all tasks: {reason}")
        if mode is not Mode.LEAVING:
            self._registration.end()
        for task in list(self._tasks.table.values()):
            if mode is Mode.LEAVING:
                self._tasks.kill(task, Cause.KILL, None)
            else:
                self._tasks.end_without_updates(task)
        # After the kills: one that does not act on them is stopped after its grace period.
        self._tasks.custom_executors.shut_down_all()

    def _is_overruled_by(self, mode: Mode) -> bool:
        plan = self._plan
        if plan is None or plan.phase is _Phase.FINISHED:
            return False
        return plan.mode is Mode.LEAVING and mode is Mode.MASTER_SHUTDOWN

    def advance(self) -> None:
        """Enter the next phases whose conditions hold. Called after every fact."""
        plan = self._plan
        if plan is None or plan.phase is _Phase.FINISHED:
            return
        if any(task.live for task in self._tasks.table.values()):
            return
        if self._tasks.custom_executors.live or self._tasks.pending_removals:
            return
        if plan.mode is Mode.LEAVING and len(self._status_updates):
            if plan.phase is _Phase.KILLING:
                self._await_acknowledgements(plan)
            if self._ctx.now.mono < plan.deadline:
                return
        plan.phase = _Phase.FINISHED
        self._finish(plan)

    def _await_acknowledgements(self, plan: _Plan) -> None:
        plan.phase = _Phase.ACKNOWLEDGING
        plan.deadline = self._ctx.now.mono + limits.LEAVE_TIMEOUT
        self._ctx.timers.set(ShutdownTimer.ACKNOWLEDGEMENTS, plan.deadline)

    def _finish(self, plan: _Plan) -> None:
        ctx = self._ctx
        if plan.mode is Mode.LEAVING and ctx.connected and ctx.master and ctx.agent_id:
            message = UnregisterSlaveMessage()
            message.slave_id.value = ctx.agent_id
            ctx.order(Send(ctx.master, message))
        self._registration.end()
        if plan.forget:
            self._tasks.drop_all_frameworks()
            self._operations.drop_all()
            ctx.record(DropAgent())
        ctx.record(DropDrain())
        ctx.order(Exit(1 if plan.mode is Mode.MASTER_SHUTDOWN else 0, plan.reason))
