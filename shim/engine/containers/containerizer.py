"""Carries out the core's orders about containers, and posts the facts that follow from them.

Each container that an order is carried out for has a :class:`ContainerWorker`; a container that
merely runs, or waits for its removal to be due, has none. Launches pass through the
:class:`LaunchQueue`. Calls to the endpoint are bounded by its slots; a stop takes no slot, since
it waits for the task's grace period and not for the endpoint.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from shim import limits
from shim.engine.api import Auth, ContainerSpec, CreateNotifier, Engine, ImageRef
from shim.engine.client.pacing import LogThrottle
from shim.engine.client.retry import UNTIL_DONE, retry
from shim.engine.containers.executor_volumes import ExecutorVolumes
from shim.engine.containers.launch_queue import LaunchQueue
from shim.engine.containers.running import RunningContainers
from shim.engine.containers.updates import ContainerUpdates, LimitsOf
from shim.engine.containers.watcher import ContainerWatcher
from shim.engine.containers.worker import ContainerWorker
from shim.engine.containers.worker_deps import LaunchHook, Leftovers, WorkerDeps
from shim.engine.containers.worker_table import ContainerOrder
from shim.engine.images.puller import ImagePuller
from shim.engine.mapping.pod import is_infra
from shim.errors import InvalidTask, NotFound
from shim.model.container import Ref
from shim.model.facts import Fact
from shim.model.ids import ContainerId, ExecutorKey
from shim.model.orders import (
    AllowCreate,
    CancelLaunch,
    Launch,
    LaunchExecutor,
    Remove,
    RemoveOrphan,
    Stop,
    UpdateContainer,
)
from shim.model.orders import Watch as WatchOrder

log = logging.getLogger(__name__)

EngineOrder = (
    Launch
    | LaunchExecutor
    | AllowCreate
    | CancelLaunch
    | WatchOrder
    | Stop
    | Remove
    | RemoveOrphan
    | UpdateContainer
)


def _anonymous(order: Launch, image: ImageRef) -> Auth | None:
    return None


async def _no_logs(ref: Ref) -> None:
    return None


def _no_executors(order: LaunchExecutor) -> Launch:
    raise InvalidTask(f"{order.ref}: executors are not launched here")


def _may_lend(order: Launch) -> bool:
    """Whether tasks of the same executor may wait for this one, as on Triton."""
    return order.executor is not None and not order.executor.infra


class Containerizer:
    """Routes each order to the worker, queue, timer or watcher that carries it out."""

    def __init__(
        self,
        engine: Engine,
        post: Callable[[Fact], None],
        make_spec: Callable[[Launch], ContainerSpec],
        *,
        executor_launch: Callable[[LaunchExecutor], Launch] = _no_executors,
        limits_of: LimitsOf = lambda resources: {},
        own_images: Mapping[str, Callable[[], bytes]] = MappingProxyType({}),
        auth_for: Callable[[Launch, ImageRef], Auth | None] = _anonymous,
        hooks: Sequence[LaunchHook] = (),
        collect_final_logs: Callable[[Ref], Awaitable[None]] = _no_logs,
        max_inflight: int = limits.MAX_INFLIGHT,
        registration_timeout: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``make_spec`` may raise InvalidTask. ``registration_timeout`` is in seconds.

        ``executor_launch`` makes a launch of an executor's own container, ``limits_of`` what an
        update of a container sets. ``own_images`` are loaded where others are pulled.
        Needs a running loop.
        """
        self._engine = engine
        self._watcher = ContainerWatcher(engine, post, clock)
        self._queue = LaunchQueue(max_inflight)
        self._deps = WorkerDeps(
            engine=engine,
            notifier=engine if isinstance(engine, CreateNotifier) else None,
            post=post,
            watcher=self._watcher,
            slots=self._queue.slots,
            images=ImagePuller(engine, clock, own_images),
            clock=clock,
            make_spec=make_spec,
            auth_for=auth_for,
            hooks=hooks,
            launch_timeout=registration_timeout,
            collect_final_logs=collect_final_logs,
            log_throttle=LogThrottle(clock),
            leftovers=Leftovers(clock),
            running=RunningContainers(engine),
            volumes=ExecutorVolumes(engine),
        )
        self._executor_launch = executor_launch
        self._updates = ContainerUpdates(engine, post, limits_of, self._watcher.wait_reachable)
        self._workers: dict[str, ContainerWorker] = {}
        self._delayed: dict[str, asyncio.TimerHandle] = {}
        """Removals that are not due yet."""
        self._orphans: dict[str, asyncio.Task[None]] = {}

    @property
    def relist_age(self) -> float:
        """Seconds since the endpoint last answered a list."""
        return self._watcher.age

    @property
    def endpoint_trouble(self) -> str:
        """Why the last list failed; empty when it did not."""
        return self._watcher.last_error

    @property
    def watched(self) -> int:
        """Running containers whose end is awaited."""
        return len(self._watcher)

    @property
    def busy(self) -> int:
        """Containers that have a worker."""
        return len(self._workers)

    @property
    def waiting(self) -> int:
        """Launches that are queued, and calls that wait for a slot."""
        return self._queue.waiting

    def carry_out(self, order: EngineOrder) -> None:
        """Take an order; facts about it are posted. Never blocks, never raises."""
        match order:
            case WatchOrder():
                self._watcher.adopt(order.ref)
            case RemoveOrphan():
                self._remove_orphan(order.name)
            case Remove(delay=delay) if delay > 0:
                self._delay(order)
            case AllowCreate() if order.ref.name not in self._workers:
                pass  # The launch has ended meanwhile.
            case LaunchExecutor():
                self._deps.volumes.begin(order.ref)
                self._launch(self._executor_launch(order))
            case Launch():
                self._launch(order)
            case UpdateContainer():
                self._updates.begin(order)
            case _:
                self._work_on(order)

    async def run(self) -> None:
        """Watch containers until cancelled."""
        await self._watcher.run()

    async def close(self) -> None:
        """Drop everything under way. Containers stay as they are."""
        self._queue.close()
        for handle in self._delayed.values():
            handle.cancel()
        tasks = list(self._orphans.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._updates.close()
        await asyncio.gather(*(worker.close() for worker in list(self._workers.values())))

    def _launch(self, order: Launch) -> None:
        if order.ref.name in self._workers:
            self._work_on(order)
            return
        if isinstance(order.ref.key, ExecutorKey) or _may_lend(order):
            self._deps.running.launching(order.ref)
        if is_infra(order.ref, order.task):
            self._deps.leftovers.add_without_logs(order.ref.name)
        self._queue.add(order.ref.name, self._worker_for(order))

    async def sweep_volumes(self, known: Callable[[], Container[ContainerId]]) -> None:
        """Remove the volumes of executors that are not ``known``, by their container ids.

        Returns when all are gone, which may take as long as orphans have one.
        """
        sleep = self._watcher.wait_reachable
        names = await retry(
            UNTIL_DONE, partial(self._deps.volumes.find_unknown, known), sleep=sleep
        )
        for name in names:
            log.warning("removing volume %s, which belongs to no executor", name)
        removals = (partial(self._engine.remove_volume, name) for name in names)
        await asyncio.gather(*(retry(UNTIL_DONE, remove, sleep=sleep) for remove in removals))

    def _work_on(self, order: ContainerOrder) -> None:
        self._queue.discard(order.ref.name)
        self._worker_for(order).begin()

    def _worker_for(self, order: ContainerOrder) -> ContainerWorker:
        """The worker of the order's container, which has taken the order."""
        name = order.ref.name
        worker = self._workers.get(name)
        if worker is None:
            worker = self._workers[name] = ContainerWorker(order.ref, self._deps, self._drop)
        worker.take(order)
        return worker

    def _drop(self, ref: Ref) -> None:
        del self._workers[ref.name]

    def _delay(self, order: Remove) -> None:
        """A delayed removal is a timer; a new order for the same container replaces it."""
        name = order.ref.name
        if earlier := self._delayed.pop(name, None):
            earlier.cancel()
        loop = asyncio.get_running_loop()
        self._delayed[name] = loop.call_later(order.delay, self._remove_now, order)

    def _remove_now(self, order: Remove) -> None:
        self._delayed.pop(order.ref.name, None)
        self._work_on(order)

    def _remove_orphan(self, name: str) -> None:
        if name not in self._orphans:
            task = asyncio.create_task(self._end_orphan(name), name=f"orphan {name}")
            self._orphans[name] = task
            task.add_done_callback(lambda _: self._orphans.pop(name, None))

    async def _end_orphan(self, name: str) -> None:
        async def stop_and_remove() -> None:
            try:
                await self._engine.stop(name, limits.ORPHAN_GRACE)
            except NotFound:
                return
            async with self._queue.slots.slot(urgent=True):
                await self._engine.remove(name)

        await retry(UNTIL_DONE, stop_and_remove, sleep=self._watcher.wait_reachable)
