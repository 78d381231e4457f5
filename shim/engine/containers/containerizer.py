"""Carries out the core's orders about containers and posts what comes of them.

One errand (an asyncio task) per container that something is being done about; none for a
container that merely runs, or waits for its removal to be due. Calls are bounded by turns; a
stop takes none, since it waits for the task's grace period and not for the daemon.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from shim import limits
from shim.engine.api import Auth, ContainerSpec, Engine, ImageRef
from shim.engine.client.retry import until_done
from shim.engine.containers.deps import WorkerDeps
from shim.engine.containers.hooks import LaunchHook
from shim.engine.containers.log_throttle import LogThrottle
from shim.engine.containers.pacer import Pacer
from shim.engine.containers.priority_semaphore import PrioritySemaphore
from shim.engine.containers.watcher import ContainerWatcher
from shim.engine.containers.worker import ContainerOrder, ContainerWorker
from shim.engine.images.puller import ImagePuller
from shim.errors import NotFound
from shim.model.container import Ref
from shim.model.facts import Fact
from shim.model.orders import CancelLaunch, Launch, Remove, RemoveOrphan, Stop
from shim.model.orders import Watch as WatchOrder

EngineOrder = Launch | CancelLaunch | WatchOrder | Stop | Remove | RemoveOrphan


def _anonymous(order: Launch, image: ImageRef) -> Auth | None:
    return None


async def _nothing(ref: Ref) -> None:
    return None


class Containerizer:
    """The engine room's one door for orders."""

    def __init__(
        self,
        engine: Engine,
        post: Callable[[Fact], None],
        make_spec: Callable[[Launch], ContainerSpec],
        *,
        auth_for: Callable[[Launch, ImageRef], Auth | None] = _anonymous,
        hooks: Sequence[LaunchHook] = (),
        collect_final_logs: Callable[[Ref], Awaitable[None]] = _nothing,
        max_inflight: int = limits.MAX_INFLIGHT,
        registration_timeout: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``make_spec`` may raise InvalidTask. Needs a running loop."""
        self._engine = engine
        self._watch = ContainerWatcher(engine, post, clock)
        self._beginning = Pacer(self._begin_some, limits.LAUNCHES_PAUSE)
        self._turns = PrioritySemaphore(max_inflight, self._beginning.go)
        self._tools = WorkerDeps(
            engine=engine,
            post=post,
            watch=self._watch,
            turns=self._turns,
            images=ImagePuller(engine, clock),
            clock=clock,
            make_spec=make_spec,
            auth_for=auth_for,
            hooks=hooks,
            patience=registration_timeout,
            collect_final_logs=collect_final_logs,
            complaint=LogThrottle(clock),
        )
        self._errands: dict[str, ContainerWorker] = {}
        self._line: OrderedDict[str, ContainerWorker] = OrderedDict()
        """Launches that are not begun yet."""
        self._was_long = self._held_back = 0
        self._due: dict[str, asyncio.TimerHandle] = {}
        self._orphans: dict[str, asyncio.Task[None]] = {}

    @property
    def relist_age(self) -> float:
        """Seconds since the endpoint last answered a list."""
        return self._watch.age

    @property
    def endpoint_trouble(self) -> str:
        """What came instead of the last list; empty when it came."""
        return self._watch.trouble

    @property
    def watched(self) -> int:
        return len(self._watch)

    @property
    def busy(self) -> int:
        """Containers that something is being done about."""
        return len(self._errands)

    @property
    def waiting(self) -> int:
        """Launches and calls that wait for their turn."""
        return len(self._line) + self._turns.waiting

    def carry_out(self, order: EngineOrder) -> None:
        """Take an order; what comes of it is posted. Never blocks, never raises."""
        match order:
            case WatchOrder():
                self._watch.take_over(order.ref)
            case RemoveOrphan():
                self._remove_orphan(order.name)
            case Remove(delay=delay) if delay > 0:
                self._later(order)
            case Launch() if order.ref.name not in self._errands:
                self._line[order.ref.name] = self._errand(order)
                self._beginning.go()
            case _:
                self._take(order)

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._watch.run()

    async def close(self) -> None:
        """Drop everything under way. Containers stay as they are."""
        self._beginning.stop()
        self._line.clear()
        for handle in self._due.values():
            handle.cancel()
        tasks = list(self._orphans.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(errand.close() for errand in list(self._errands.values())))

    def _begin_some(self) -> bool:
        """A few launches, as long as few wait for a turn: there they take most memory."""
        if self._pour_in():
            return True
        for number in range(limits.LAUNCHES_AT_A_TIME):
            if not self._line or self._turns.waiting >= limits.LAUNCHES_BEGUN:
                return number > 0
            _, errand = self._line.popitem(last=False)
            errand.begin()
        return True

    def _pour_in(self) -> bool:
        """Whether so many come right now that for a moment they are only taken: a ping waits
        behind all of them."""
        grown, self._was_long = len(self._line) - self._was_long, len(self._line)
        if not self._line:
            self._held_back = 0
        if grown < limits.LAUNCHES_POUR or self._held_back >= limits.LAUNCHES_HELD_BACK:
            return False
        self._held_back += 1
        return True

    def _take(self, order: ContainerOrder) -> None:
        self._line.pop(order.ref.name, None)
        self._errand(order).begin()

    def _errand(self, order: ContainerOrder) -> ContainerWorker:
        """The one for its container, which has taken it."""
        name = order.ref.name
        errand = self._errands.get(name)
        if errand is None:
            errand = self._errands[name] = ContainerWorker(order.ref, self._tools, self._forget)
        errand.take(order)
        return errand

    def _forget(self, ref: Ref) -> None:
        del self._errands[ref.name]

    def _later(self, order: Remove) -> None:
        """A delay needs no errand, only a timer; a new order for the same container replaces it."""
        name = order.ref.name
        if waiting := self._due.pop(name, None):
            waiting.cancel()
        self._due[name] = asyncio.get_running_loop().call_later(order.delay, self._fall_due, order)

    def _fall_due(self, order: Remove) -> None:
        self._due.pop(order.ref.name, None)
        self._take(order)

    def _remove_orphan(self, name: str) -> None:
        if name not in self._orphans:
            task = asyncio.create_task(self._end_orphan(name), name=f"orphan {name}")
            self._orphans[name] = task
            task.add_done_callback(lambda _: self._orphans.pop(name, None))

    async def _end_orphan(self, name: str) -> None:
        async for attempt in until_done(self._watch.rest):
            with attempt:
                try:
                    await self._engine.stop(name, limits.ORPHAN_GRACE)
                except NotFound:
                    return
                async with self._turns.turn(urgent=True):
                    await self._engine.remove(name)
