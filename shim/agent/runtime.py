"""The runtime: one queue of facts, one core, one barrier, one commit at a time.

::

    post(fact) -> queue -> Core.handle -> Barrier -> Journal.commit -> carry_out(order)
                                             |
                                             +-> carry_out(Pong) at once

Facts are handled one after the other in the order of arrival. The loop handles the next facts while
a commit is under way: a slow disk delays orders, but no fact and no answer to a ping. A disk
that cannot be written (full, gone) is retried until it can. Until then nothing is sent and nothing
is lost.

A journal that several agents share also says whether this one may act: see ``lease.py``. It is
asked before each order but the answers to pings.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from shim import limits
from shim.agent.barrier import Barrier
from shim.core.agent import Core
from shim.core.context import Decision, Now
from shim.errors import FatalError, Transient
from shim.model.facts import DeadlinePassed, Fact, MessageReceived
from shim.model.orders import Exit, Order
from shim.model.records import Record
from shim.protos.messages_pb2 import PingSlaveMessage

log = logging.getLogger(__name__)


def now() -> Now:
    """A reading of both clocks."""
    return Now(time.monotonic(), time.time())


class Journal(Protocol):
    """Where records become durable."""

    async def commit(self, batch: Sequence[Record]) -> None:
        """Make the records durable, all or none.

        Raises Transient when the journal does not take them now: retry with the same batch. Raises
        FatalError when a retry cannot help.
        """

    def may_act(self) -> bool:
        """Whether orders may be carried out now: no other agent of this journal may act."""

    async def confirm(self) -> None:
        """Return once :meth:`may_act` is true. Raises Transient and FatalError as ``commit``."""

    @property
    def problem(self) -> str:
        """Why nothing may be sent, as far as is known without a commit; else empty."""


class SystemEntropy:
    """Randomness from the operating system."""

    def uuid(self) -> bytes:
        return uuid.UUID(bytes=os.urandom(16), version=4).bytes

    def uniform(self, limit: float) -> float:
        return random.uniform(0.0, limit)


class Runtime:
    """Runs a core. Needs a running event loop."""

    def __init__(self, core: Core, journal: Journal) -> None:
        self._core = core
        self._journal = journal
        self._carry_out: Callable[[Order], None] | None = None
        self._queue: deque[Fact] = deque()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._barrier = Barrier()
        self._committing: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.commits = 0
        """Successful ones, since the start."""
        self._commit_failing = False
        """The last commit failed and is being retried."""

    def post(self, fact: Fact) -> None:
        """Queue a fact. Must be called on the event loop.

        A plain ping goes first: thousands of facts may be waiting, and a ping depends on none.
        """
        if _is_plain_ping(fact):
            self._queue.appendleft(fact)
        else:
            self._queue.append(fact)
        self._settled.clear()
        self._wake.set()

    @property
    def disk_failing(self) -> bool:
        """Nothing is sent: the journal takes no records now."""
        return self._commit_failing or bool(self._journal.problem)

    @property
    def waiting(self) -> int:
        """How many facts are queued."""
        return len(self._queue)

    async def settled(self) -> None:
        """Wait until the queue is empty and the orders of its facts are carried out."""
        await self._settled.wait()

    async def run(self, carry_out: Callable[[Order], None]) -> Exit:
        """Run until the core orders the end of the process; return that order.

        ``carry_out`` is called with each order, in sequence, on the event loop. It must not block.
        """
        self._carry_out = carry_out
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(self._loop(), name="loop")
            ended = await self._ended
            loop.cancel()
        return ended

    async def close(self) -> None:
        """Let a commit under way finish, and carry out its orders. After ``run``."""
        if self._committing is not None:
            await asyncio.wait({self._committing}, timeout=limits.DISK_CLOSE_TIMEOUT)
            self._committing.cancel()

    async def _loop(self) -> None:
        while True:
            await self._wait()
            for _ in range(min(len(self._queue), limits.FACTS_PER_TURN)):
                self._handle(self._queue.popleft())
            deadline = self._core.deadline()
            if deadline is not None and deadline <= time.monotonic():
                self._handle(DeadlinePassed())
            self._flush()
            await asyncio.sleep(0)

    async def _wait(self) -> None:
        """Wait for a fact, the end of a commit, or the core's next deadline."""
        if self._queue:
            return
        deadline = self._core.deadline()
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        self._wake.clear()

    def _handle(self, fact: Fact) -> None:
        decision = self._core.handle(fact, now())
        for order in self._barrier.add(decision):
            self._carry_out_order(order)

    def _flush(self) -> None:
        """Commit the next batch, unless a commit is under way."""
        if self._committing is not None and not self._committing.done():
            return
        if self._ended.done():
            return
        if self._barrier:
            self._committing = asyncio.create_task(self._commit(), name="commit")
            self._committing.add_done_callback(lambda _: self._wake.set())
        elif not self._queue:
            self._settled.set()

    async def _commit(self) -> None:
        while self._barrier:
            batch = self._barrier.take()
            try:
                await self._write(batch)
                await self._carry_out_all(batch.orders)
            except Exception as error:
                # These records are lost. Later decisions build on them and must not be carried out.
                if not isinstance(error, FatalError):
                    log.exception("records cannot be written to the journal")
                self._carry_out_order(Exit(1, str(error)))
                return

    async def _carry_out_all(self, batch: Sequence[Order]) -> None:
        for number, order in enumerate(batch, 1):
            if not self._journal.may_act():
                await self._write(Decision())
            self._carry_out_order(order)
            if number % limits.ORDERS_PER_TURN == 0:
                await asyncio.sleep(0)

    async def _write(self, batch: Decision) -> None:
        """Make the records durable. Returns once the orders may be carried out."""
        durable = not batch.records
        while True:
            try:
                if not durable:
                    await self._journal.commit(batch.records)
                    self.commits += 1
                    durable = True
                await self._journal.confirm()
                break
            except Transient as error:
                if not self._commit_failing:
                    log.error("%s; nothing is sent until the journal can be written", error)
                self._commit_failing = True
                await asyncio.sleep(limits.DISK_RETRY)
        if self._commit_failing:
            log.warning("the journal can be written again")
            self._commit_failing = False

    def _carry_out_order(self, order: Order) -> None:
        if isinstance(order, Exit):
            if not self._ended.done():
                self._ended.set_result(order)
            return
        assert self._carry_out is not None
        try:
            self._carry_out(order)
        except Exception:
            # A failure with one task must not stop the loop, on which all tasks depend.
            log.exception("order %s cannot be carried out", type(order).__name__)


def _is_plain_ping(fact: Fact) -> bool:
    """A ping without news. A ping of a master that lost its link keeps its place in the queue."""
    return (
        isinstance(fact, MessageReceived)
        and isinstance(fact.message, PingSlaveMessage)
        and fact.message.connected
    )
