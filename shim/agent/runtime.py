"""The loop: one mailbox, one core, one barrier.

Facts are handled one after the other in the order they came. What they lead to waits behind the
barrier until it is durable; meanwhile the loop goes on with the next facts, so that a slow disk
delays what must be durable and nothing else: pings are answered in any case. A disk that refuses
(full, gone) is asked again until it takes the batch: nothing is sent, nothing is lost.
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
from collections.abc import Callable

from shim import limits
from shim.agent.barrier import Barrier
from shim.agent.journal import Journal
from shim.core.agent import Core
from shim.core.context import Decision, Now
from shim.errors import Transient
from shim.model.facts import DeadlinePassed, Fact, MessageReceived
from shim.model.orders import Exit, Order
from shim.protos.messages_pb2 import PingSlaveMessage

log = logging.getLogger(__name__)


def now() -> Now:
    """Both clocks."""
    return Now(time.monotonic(), time.time())


class SystemEntropy:
    """Chance from the operating system."""

    def uuid(self) -> bytes:
        return uuid.UUID(bytes=os.urandom(16), version=4).bytes

    def uniform(self, limit: float) -> float:
        return random.uniform(0.0, limit)


class Runtime:
    def __init__(self, core: Core, journal: Journal) -> None:
        self._core = core
        self._journal = journal
        self._carry_out: Callable[[Order], None] | None = None
        self._mailbox: deque[Fact] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._barrier = Barrier()
        self._committing: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.commits = 0
        self.disk_failing = False

    def post(self, fact: Fact) -> None:
        """Something happened. Called from the loop."""
        if _is_ping(fact):
            self._mailbox.appendleft(fact)
        else:
            self._mailbox.append(fact)
        self._idle.clear()
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Facts not yet handled."""
        return len(self._mailbox)

    async def settled(self) -> None:
        """Until every fact posted so far was handled, and its orders carried out."""
        await self._idle.wait()

    async def run(self, carry_out: Callable[[Order], None]) -> Exit:
        """Until the core orders the end of the process.

        ``carry_out`` is called with each order, from the loop, in order; it must not block.
        """
        self._carry_out = carry_out
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(self._loop(), name="loop")
            ended = await self._ended
            loop.cancel()
        return ended

    async def close(self) -> None:
        """Carry out what is behind the barrier, as far as the disk lets us. After ``run``."""
        if self._committing is not None:
            await asyncio.wait({self._committing}, timeout=limits.DISK_CLOSE_TIMEOUT)
            self._committing.cancel()

    async def _loop(self) -> None:
        while True:
            await self._something()
            for _ in range(min(len(self._mailbox), limits.FACTS_PER_TURN)):
                self._handle(self._mailbox.popleft())
            deadline = self._core.deadline()
            if deadline is not None and deadline <= time.monotonic():
                self._handle(DeadlinePassed())
            self._flush()
            await asyncio.sleep(0)

    async def _something(self) -> None:
        """Wait for a fact, the end of a commit, or the core's next deadline."""
        if self._mailbox:
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
            self._carry(order)

    def _flush(self) -> None:
        """Get what collected behind the barrier through it."""
        if self._committing is not None and not self._committing.done():
            return
        if self._ended.done():
            return
        if self._barrier:
            self._committing = asyncio.create_task(self._commit(), name="commit")
            self._committing.add_done_callback(lambda _: self._wake.set())
        elif not self._mailbox:
            self._idle.set()

    async def _commit(self) -> None:
        while self._barrier:
            batch = self._barrier.take()
            try:
                await self._durable(batch)
            except Exception as error:
                # What was decided is lost, so nothing decided on top of it may be carried out.
                log.exception("records could not be made durable")
                self._carry(Exit(1, str(error)))
                return
            for number, order in enumerate(batch.orders, 1):
                self._carry(order)
                if number % limits.ORDERS_PER_TURN == 0:
                    await asyncio.sleep(0)

    async def _durable(self, batch: Decision) -> None:
        while batch.records:
            try:
                await self._journal.commit(batch.records)
                self.commits += 1
                break
            except Transient as error:
                if not self.disk_failing:
                    log.error("%s; nothing is sent until it takes our records", error)
                self.disk_failing = True
                await asyncio.sleep(limits.DISK_RETRY)
        if self.disk_failing:
            log.warning("the journal takes records again")
            self.disk_failing = False

    def _carry(self, order: Order) -> None:
        if isinstance(order, Exit):
            if not self._ended.done():
                self._ended.set_result(order)
            return
        assert self._carry_out is not None
        try:
            self._carry_out(order)
        except Exception:
            # One task's trouble must never stop the loop that all others live from.
            log.exception("order %s could not be carried out", type(order).__name__)


def _is_ping(fact: Fact) -> bool:
    """A master that only wants to know whether we live: thousands of launches may be waiting, and
    it does not wait for them. One that lost its link to us tells so in its order."""
    return (
        isinstance(fact, MessageReceived)
        and isinstance(fact.message, PingSlaveMessage)
        and fact.message.connected
    )
