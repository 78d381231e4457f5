"""The shim's process: the real core and the real barrier, in the runtime's order.

The process takes the same steps as :mod:`shim.agent.runtime`, one simulated event each, so that a
crash can come between any two of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from shim import limits
from shim.agent.barrier import Barrier
from shim.core.agent import Core
from shim.core.context import Decision, Now
from shim.model import facts, orders
from shim.model.records import SaveShimId
from shim.protos.messages_pb2 import PingSlaveMessage
from tests.sim.clock import Crash, Violation
from tests.sim.containerizer import Containerizer

if TYPE_CHECKING:
    from tests.sim.world import World

T = TypeVar("T")


class Process:
    def __init__(self, world: World) -> None:
        self.world = world
        self.dead = False
        self.fuse: int | None = None
        """Steps until the process is killed."""
        self.exited: orders.Exit | None = None
        self.barrier = Barrier()
        self.containerizer = Containerizer(self)
        self._queue: deque[facts.Fact] = deque()
        self._scheduled = False
        self._armed: float | None = None
        self._committing: Decision | None = None
        self.core = self._guarded(
            Core, world.settings, world.entropy, world.disk.snapshot(), self._now()
        )
        # As the agent does at its start, before it asks the endpoint or a master.
        world.disk.commit([SaveShimId("sim")])
        self._list()

    def _now(self) -> Now:
        now = self.world.clock.now
        return Now(now, now + 1e9)

    def _list(self) -> None:
        self.world.engine.request("list", None, self._containers_listed)

    def _containers_listed(self, found: tuple[Any, ...], error: Exception | None) -> None:
        if self.dead:
            return
        if error is not None:
            self.world.clock.after(1.0, self._list)
        else:
            self.post(facts.ContainersFound(found))

    # --- the loop ---------------------------------------------------------------------------

    def post(self, fact: facts.Fact) -> None:
        if self.dead:
            return
        self._queue.append(fact)
        if not self._scheduled:
            self._scheduled = True
            self.world.clock.after(0.0, self._handle_all)

    def _handle_all(self) -> None:
        if self.dead:
            return
        self._scheduled = False
        while self._queue:
            self._handle(self._queue.popleft())
        self._flush()

    def _handle(self, fact: facts.Fact) -> None:
        self.tick("before a fact is handled")
        if self.world.trace is not None and not _is_plain_ping(fact):
            self.world.say("fact", fact)
        decision = self._guarded(self.core.handle, fact, self._now())
        self.tick("after a fact was handled")
        for order in self.barrier.add(decision):
            self._carry_out(order)
        self._arm()

    def _guarded(self, call: Callable[..., T], *args: Any) -> T:
        try:
            return call(*args)
        except (Crash, Violation):
            raise
        except Exception as error:
            raise Violation(f"the core raised {error!r}") from error

    def _arm(self) -> None:
        deadline = self.core.deadline()
        if deadline is not None and deadline != self._armed:
            self._armed = deadline
            delay = max(0.0, deadline - self.world.clock.now)
            self.world.clock.after(delay, self._deadline, deadline)

    def _deadline(self, deadline: float) -> None:
        if self.dead or self._armed != deadline:
            return
        self._armed = None
        wanted = self.core.deadline()
        if wanted is not None and wanted <= self.world.clock.now:
            self._handle(facts.DeadlinePassed())
            self._flush()
        else:
            self._arm()

    # --- the barrier ------------------------------------------------------------------------

    def _flush(self) -> None:
        if self._committing is None and self.barrier:
            batch = self.barrier.take()
            if batch.records:
                self._committing = batch
                self.world.clock.after(self.world.disk_delay(), self._commit)
            else:
                self._carry_out_all(batch)

    def _commit(self) -> None:
        batch = self._committing
        if self.dead or batch is None:
            return
        self.tick("before a commit")
        if self.world.clock.now < self.world.disk.refuses_until:
            self.world.clock.after(limits.DISK_RETRY, self._commit)
            return
        self.world.commit(batch.records)
        self._committing = None
        self.tick("after a commit")
        self._carry_out_all(batch)
        self._flush()

    def _carry_out_all(self, batch: Decision) -> None:
        for order in batch.orders:
            self._carry_out(order)

    @property
    def settled(self) -> bool:
        return not (self._queue or self._committing or self.barrier)

    # --- orders -----------------------------------------------------------------------------

    def _carry_out(self, order: orders.Order) -> None:
        self.tick("before an order is carried out")
        if self.dead:
            return
        world = self.world
        if world.trace is not None and not isinstance(order, orders.Pong):
            world.say("order", order)
        match order:
            case orders.Send() if world.executors.is_executor(order.to):
                world.executors.send(order.to, order.message)
            case orders.SendExecutorEvent():
                world.executors.send_event(order.stream, order.event)
            case orders.EndStream():
                world.executors.end_stream(order.stream)
            case orders.ExplainSilence():
                world.executors.explain(self, order)
            case orders.Send():
                world.invariants.check_sent(order.message)
                world.network.to_master(order.to, order.message)
            case orders.Pong():
                world.network.to_master(order.to, None)
            case orders.Authenticate():
                world.authenticate(self, order)
            case orders.Notice():
                pass
            case orders.Exit():
                self.exited = order
                self.dead = True
                world.exited(order)
            case _:
                world.invariants.check_order(order)
                self.containerizer.take(order)

    # --- crashes ----------------------------------------------------------------------------

    def tick(self, where: str) -> None:
        if self.fuse is not None:
            if self.fuse <= 0:
                raise Crash(where)
            self.fuse -= 1

    def die(self) -> None:
        """A commit under way is on disk, or it is not."""
        self.dead = True
        batch, world = self._committing, self.world
        reachable = world.clock.now >= world.disk.refuses_until
        if batch is not None and reachable and world.rng.random() < 0.5:
            world.commit(batch.records)


def _is_plain_ping(fact: facts.Fact) -> bool:
    """Pings without news are left out of the trace."""
    if not isinstance(fact, facts.MessageReceived):
        return False
    return isinstance(fact.message, PingSlaveMessage) and fact.message.connected
