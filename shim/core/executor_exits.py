"""Exits of executors, reported to the master until none can have been lost.

ExitedExecutorMessage frees what the master booked for an executor, and it is not acknowledged. So
an exit is reported again after a registration, if the request that is answered may list the
executor as live, and after the link to the master broke. A master ignores the exit of an executor
that it does not know. Once an executor of the same id is launched, the exit is not reported again:
the master would take it for the exit of the new one.
"""

from __future__ import annotations

from shim import limits
from shim.core.context import Context
from shim.core.timers import ExitTimer
from shim.model.facts import LinkBroke
from shim.model.ids import ExecutorKey
from shim.model.orders import Send
from shim.protos.messages_pb2 import ExitedExecutorMessage


class ExecutorExits:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._reported: dict[ExecutorKey, int] = {}
        """Wait statuses of executors whose exit the master may not know, oldest first."""

    def report(self, key: ExecutorKey, status: int) -> None:
        """Now, if there is a master, and perhaps again. ``status``: as wait(2) gives it, or -1."""
        self._reported.pop(key, None)
        self._reported[key] = status
        if len(self._reported) > limits.EXECUTOR_EXITS:
            del self._reported[next(iter(self._reported))]
        self._send(key, status)

    def launched(self, key: ExecutorKey) -> None:
        """An executor of this id is launched."""
        self._reported.pop(key, None)

    def listed(self) -> None:
        """A request says which executors live, and no older one is on its way."""
        self._reported.clear()

    def report_again(self) -> None:
        """After a registration, which may answer an older request; or when the delay is over."""
        for key, status in self._reported.items():
            self._send(key, status)

    def link_broke(self, fact: LinkBroke) -> None:
        """Report again what may have been lost. With a delay: the link may break at once again."""
        master = self._ctx.master
        if master is not None and master.address == fact.address and self._reported:
            at = self._ctx.now.mono + limits.EXIT_RETRY
            self._ctx.timers.set(ExitTimer.RETRY, at)

    def _send(self, key: ExecutorKey, status: int) -> None:
        ctx = self._ctx
        if not ctx.connected or ctx.master is None or ctx.agent_id is None:
            return
        message = ExitedExecutorMessage(status=status)
        message.slave_id.value = ctx.agent_id
        message.framework_id.value = key.framework_id
        message.executor_id.value = key.executor_id
        ctx.order(Send(ctx.master, message))
