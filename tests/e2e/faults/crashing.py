"""The agent, ended by SIGKILL at a named point: ``python -m tests.e2e.faults.crashing agent …``.

``CRASH_AT=point/moment/n`` in the environment says where: at the ``n``-th time that ``point`` is
reached, ``before`` it or ``after`` it. Nothing in the product knows of this: its methods are
wrapped from outside.
"""

from __future__ import annotations

import asyncio
import faulthandler
import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

from shim import cli
from shim.agent import journal
from shim.agent.dispatcher import OrderDispatcher
from shim.agent.journal import SqliteJournal
from shim.core.executor_registration import ExecutorRegistration
from shim.core.master_messages import MasterMessageHandler
from shim.core.operations import Operations
from shim.engine.docker import DockerEngine
from shim.model.orders import Order, Send, SendExecutorEvent
from shim.model.records import AddUpdate, Record, SaveOperation
from shim.protos import messages_pb2 as m
from shim.protos.executor_pb2 import Event

VARIABLE = "CRASH_AT"
TOLD_ALL = "those were all tasks\n"
UPDATE = b"mesos.internal.StatusUpdateMessage "
OPERATION_STATUS = b"mesos.internal.UpdateOperationStatusMessage "


class Crash(NamedTuple):
    """Where a life ends."""

    point: str
    moment: str
    """``before`` or ``after``."""
    number: int

    @classmethod
    def parse(cls, text: str) -> Crash:
        point, moment, number = text.split("/")
        return cls(point, moment, int(number))

    def __str__(self) -> str:
        return f"{self.point}/{self.moment}/{self.number}"


@dataclass(frozen=True, slots=True)
class Point:
    """A method of the product; of its calls only those that are ``meant`` count."""

    owner: Any
    method: str
    latest: int
    """A life ends at a number of calls up to this one."""
    meant: Callable[..., bool] = lambda *args: True


class _Transaction:
    """A connection that dies around its COMMIT: the batch is written and not yet durable."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def execute(self, statement: str, *arguments: Any) -> Any:
        if statement == "COMMIT":
            return self.commit()
        return self._db.execute(statement, *arguments)

    def commit(self) -> None:
        self._db.execute("COMMIT")

    @property
    def in_transaction(self) -> bool:
        return bool(self._db.in_transaction)


def _tells_update(writer: asyncio.StreamWriter, data: bytes) -> bool:
    return UPDATE in data


def _sends_operation_status(writer: asyncio.StreamWriter, data: bytes) -> bool:
    return OPERATION_STATUS in data


def _records_operation(journal: SqliteJournal, batch: Sequence[Record]) -> bool:
    return any(isinstance(record, SaveOperation) for record in batch)


def _hands_over(dispatcher: OrderDispatcher, order: Order) -> bool:
    """A task is sent to its executor, v1 or v0."""
    if isinstance(order, SendExecutorEvent):
        return order.event.type == Event.LAUNCH
    return isinstance(order, Send) and isinstance(order.message, m.RunTaskMessage)


def _stores_update(journal: SqliteJournal, batch: Sequence[Record]) -> bool:
    return any(isinstance(record, AddUpdate) for record in batch)


def _acknowledges_executor(dispatcher: OrderDispatcher, order: Order) -> bool:
    """An update is acknowledged to its executor."""
    if isinstance(order, SendExecutorEvent):
        return order.event.type == Event.ACKNOWLEDGED
    acknowledgement = m.StatusUpdateAcknowledgementMessage
    return isinstance(order, Send) and isinstance(order.message, acknowledgement)


POINTS = {
    "accept": Point(MasterMessageHandler, "_run_task", 6),
    "journal": Point(SqliteJournal, "commit", 12),
    "transaction": Point(_Transaction, "commit", 12),
    "create": Point(DockerEngine, "create", 4),
    "start": Point(DockerEngine, "start", 4),
    "send": Point(asyncio.StreamWriter, "write", 8, _tells_update),
    "acknowledgement": Point(MasterMessageHandler, "_acknowledged", 8),
    "stop": Point(DockerEngine, "stop", 2),
    "remove": Point(DockerEngine, "remove", 3),
}
POD_POINTS = {
    "pod-accept": Point(MasterMessageHandler, "_run_task_group", 3),
    **{f"pod-{name}": point for name, point in POINTS.items() if name != "accept"},
    # Several pods at once: first their infra containers, then their tasks.
    "pod-create": Point(DockerEngine, "create", 12),
    "pod-start": Point(DockerEngine, "start", 12),
}
"""The same with task groups: the first is reached only where they are launched."""
VOLUME_POINTS = {
    "operation": Point(MasterMessageHandler, "_apply_operation", 4),
    "operation-record": Point(SqliteJournal, "commit", 4, _records_operation),
    "operation-status": Point(asyncio.StreamWriter, "write", 4, _sends_operation_status),
    "operation-ack": Point(Operations, "acknowledge", 4),
    "volume-create": Point(DockerEngine, "create_volume", 3),
    "volume-start": Point(DockerEngine, "start", 3),
    "volume-remove": Point(DockerEngine, "remove_volume", 2),
}
"""Reached only where frameworks make and destroy persistent volumes."""
EXECUTOR_POINTS = {
    "register": Point(ExecutorRegistration, "welcome", 2),
    "hand-over": Point(OrderDispatcher, "dispatch", 4, _hands_over),
    "store-update": Point(SqliteJournal, "commit", 4, _stores_update),
    "executor-ack": Point(OrderDispatcher, "dispatch", 4, _acknowledges_executor),
}
"""Reached only where tasks run in custom executors."""
ALL_POINTS = {**POINTS, **POD_POINTS, **VOLUME_POINTS, **EXECUTOR_POINTS}
MOMENTS = ("before", "after")


def install(crash: Crash) -> None:
    """Wrap the point's method."""
    commit = journal._commit
    journal._commit = lambda db, batch: commit(_Transaction(db), batch)  # type: ignore[arg-type]
    point = ALL_POINTS[crash.point]
    original = getattr(point.owner, point.method)
    calls = {moment: count(1) for moment in MOMENTS}

    def here(moment: str) -> None:
        """Calls are counted as they begin, and as they end: one that fails ends as well."""
        if next(calls[moment]) == crash.number and moment == crash.moment:
            os.write(2, f"crashing at {crash}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(original)
    def plain(*args: Any) -> Any:
        if not point.meant(*args):
            return original(*args)
        here("before")
        try:
            return original(*args)
        finally:
            here("after")

    @functools.wraps(original)
    async def waiting(*args: Any) -> Any:
        if not point.meant(*args):
            return await original(*args)
        here("before")
        try:
            return await original(*args)
        finally:
            here("after")

    wrapped = waiting if inspect.iscoroutinefunction(original) else plain
    setattr(point.owner, point.method, wrapped)


def tell_tasks() -> None:
    """Where everything stands, for whoever sends SIGUSR2 to an agent that does not get on."""
    faulthandler.dump_traceback(all_threads=True)
    for task in asyncio.all_tasks():
        lines: list[str] = []
        waits: Any = task.get_coro()
        while waits is not None and (frame := getattr(waits, "cr_frame", None)) is not None:
            lines.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
            waits = waits.cr_await
        os.write(2, f"{task.get_name()}: {' > '.join(lines)} > {waits}\n".encode())
    os.write(2, TOLD_ALL.encode())


class _Telling(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()
        loop.add_signal_handler(signal.SIGUSR2, tell_tasks)
        return loop


if __name__ == "__main__":
    asyncio.set_event_loop_policy(_Telling())
    if where := os.environ.get(VARIABLE):
        install(Crash.parse(where))
    sys.exit(cli.main())
