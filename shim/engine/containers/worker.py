"""All work about one container, in one asyncio task at most.

Orders are taken at any time and carried out one after the other. A newer order interrupts an
older one where that is safe (a pull, a wait, a stop), never in the middle of a create or a start.
:mod:`~shim.engine.containers.worker_table` says which order does what in which phase. A worker
ends when no order is left: a container that merely runs has none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from shim import limits
from shim.engine.client.retry import UNTIL_DONE, retry
from shim.engine.containers.launch import Interrupted, LaunchAttempt
from shim.engine.containers.worker_deps import WorkerDeps
from shim.engine.containers.worker_table import (
    CANCELLED,
    LAUNCHES,
    MAY_RUN,
    ORDERS,
    PARKED,
    ContainerOrder,
    LaunchAction,
    LaunchEvent,
    LaunchPhase,
    OrderEffect,
    WorkerStep,
)
from shim.errors import NotFound, Transient
from shim.model.container import Container, Phase, Ref
from shim.model.facts import (
    ContainerRemoved,
    ContainerStarted,
    Failure,
    LaunchCancelled,
    LaunchFailed,
)
from shim.model.ids import ExecutorKey
from shim.model.orders import AllowCreate, CancelLaunch, Launch, Remove, Stop

log = logging.getLogger(__name__)


class ContainerWorker:
    """The orders about one container that are not carried out yet. Thousands exist at once."""

    __slots__ = (
        "_allowed",
        "_attempt",
        "_cancel",
        "_deps",
        "_launch",
        "_on_end",
        "_ordered_at",
        "_ref",
        "_remove",
        "_step",
        "_stop",
        "_task",
        "_wait",
        "phase",
    )

    def __init__(self, ref: Ref, deps: WorkerDeps, on_end: Callable[[Ref], None]) -> None:
        self._ref = ref
        self._deps = deps
        self._on_end = on_end
        self._ordered_at = deps.clock()
        self.phase: LaunchPhase | None = None
        """Of the launch that waits, is under way, or is to be cleaned up; None: there is none."""
        self._allowed: asyncio.Event | None = None
        """Set by AllowCreate; there is one while the launch waits for it."""
        self._launch: Launch | None = None
        self._attempt: LaunchAttempt | None = None
        self._cancel: CancelLaunch | None = None
        self._remove: Remove | None = None
        self._stop: Stop | None = None
        self._step = WorkerStep.IDLE
        self._wait: asyncio.Timeout | None = None
        """The wait under way that an order may interrupt."""
        self._task: asyncio.Task[None] | None = None

    @property
    def _parked(self) -> bool:
        return self.phase in PARKED

    def begin(self) -> None:
        """Carry out the orders taken so far, and those taken until the worker ends."""
        if self._task is None and not self._parked:
            self._task = asyncio.create_task(self._run(), name=f"worker {self._ref.name}")

    def on_ready(self) -> None:
        """The engine calls back: a parked launch can continue."""
        if self.phase is not None:
            self.apply(LaunchEvent.READY)

    async def close(self) -> None:
        """Drop what is under way; the core orders it again after a restart."""
        if self._task is None:
            self.phase = None
        else:
            self._task.cancel()
            await asyncio.wait([self._task])

    # --- what happens meanwhile -------------------------------------------------------------

    def take(self, order: ContainerOrder) -> None:
        """Carry ``order`` out now or later, as :data:`ORDERS` says."""
        match ORDERS[self._step][type(order)]:
            case OrderEffect.KEEP:
                self._keep(order)
            case OrderEffect.ALLOW:
                if self.phase is not None:
                    self.apply(LaunchEvent.ALLOW)
            case OrderEffect.CANCEL:
                if self.phase is not None:
                    self.apply(LaunchEvent.CANCEL)
                if self.phase is None or not isinstance(order, CancelLaunch):
                    self._keep(order)
            case OrderEffect.INTERRUPT:
                self._keep(order)
                self._interrupt()
            case OrderEffect.IGNORE:
                pass

    def _keep(self, order: ContainerOrder) -> None:
        match order:
            case Launch():
                if self._launch is None:
                    self._launch, self.phase = order, LaunchPhase.PREPARING
            case CancelLaunch():
                self._cancel = order
            case Remove():
                self._remove, self._stop = order, None
            case Stop():
                self._stop = order
            case AllowCreate():
                pass  # never kept: it concerns the launch under way

    def apply(self, event: LaunchEvent) -> None:
        """Take the launch to its next phase. Raises Interrupted in the launch's own task."""
        assert self.phase is not None
        self.phase, action = LAUNCHES[self.phase][event]
        match action:
            case LaunchAction.PROCEED:
                if self._allowed is not None:
                    self._allowed.set()
            case LaunchAction.CANCEL:
                self._deps.running.failed(self._ref, "its launch is cancelled")
                self._deps.post(LaunchCancelled(self._ref))
                self._interrupt()
            case LaunchAction.RESUME:
                self.begin()
            case LaunchAction.INTERRUPT:
                raise Interrupted
            case LaunchAction.NONE:
                pass

    async def create_allowed(self) -> None:
        """Return once a create may be sent."""
        if self.phase is LaunchPhase.PREPARING:
            self._allowed = asyncio.Event()
            try:
                await self._allowed.wait()
            finally:
                self._allowed = None

    @asynccontextmanager
    async def interruptible(self, seconds: float | None = None) -> AsyncIterator[None]:
        """A block that a newer order may end: Interrupted; TimeoutError after ``seconds``."""
        if self.phase is not None:
            self.apply(LaunchEvent.WAIT)
        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                self._wait = timer
                try:
                    yield
                finally:
                    self._wait = None
        except TimeoutError:
            if timer.expired() and (seconds is None or self.phase in CANCELLED):
                raise Interrupted from None
            raise

    def _interrupt(self) -> None:
        if self._wait is not None and not self._wait.expired():
            self._wait.reschedule(asyncio.get_running_loop().time())

    # --- the steps ----------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._parked and (step := self._next_step()) is not WorkerStep.IDLE:
                self._step = step
                try:
                    await self._carry_out(step)
                except Interrupted:
                    continue
                except Exception:
                    # A bug: it is logged, and neither ends the order nor makes a busy loop.
                    log.exception("%s", self._ref)
                    await asyncio.sleep(limits.ENGINE_RETRY_MAX)
        finally:
            self._task = None
            if not self._parked:
                self._on_end(self._ref)

    def _next_step(self) -> WorkerStep:
        if self._launch is not None:
            return WorkerStep.LAUNCHING
        if self.phase is LaunchPhase.UNWANTED:
            return WorkerStep.CLEANING
        if self._cancel is not None:
            return WorkerStep.RECOVERING
        if self._remove is not None:
            return WorkerStep.REMOVING
        return WorkerStep.IDLE if self._stop is None else WorkerStep.STOPPING

    async def _carry_out(self, step: WorkerStep) -> None:
        match step:
            case WorkerStep.LAUNCHING:
                await self._carry_out_launch()
            case WorkerStep.CLEANING:
                await self._remove_for_certain()
                self.phase = None
            case WorkerStep.RECOVERING:
                await self._recover()
                self._cancel = None
            case WorkerStep.REMOVING:
                await self._carry_out_remove()
                self._remove = self._stop = None
                self._deps.post(ContainerRemoved(self._ref))
            case WorkerStep.STOPPING:
                await self._carry_out_stop()
                self._stop = None
            case WorkerStep.IDLE:
                pass

    async def _carry_out_launch(self) -> None:
        assert self._launch is not None
        if self._attempt is None:
            self._attempt = LaunchAttempt(self._launch, self._deps, self, self._ordered_at)
        outcome: Container | LaunchFailed | None = None
        try:
            outcome = await self._attempt.run()
        except Interrupted:
            raise
        except Exception as error:
            log.exception("%s", self._ref)
            outcome = LaunchFailed(self._ref, Failure.LAUNCH, f"the shim failed: {error!r}")
        finally:
            cancelled = self.phase in CANCELLED
            if not self._parked:
                self._end_launch(outcome)
        if cancelled or outcome is None:
            return
        if isinstance(outcome, Container):
            self._report_started(outcome)
        else:
            self._deps.running.failed(self._ref, outcome.message)
            self._deps.post(outcome)

    def _end_launch(self, outcome: Container | LaunchFailed | None) -> None:
        """The launch is over: its phase outlives it only where something is to be cleaned up."""
        if self.phase not in MAY_RUN and not isinstance(outcome, Container):
            self._deps.leftovers.add_without_logs(self._ref.name)
        self._launch = self._attempt = None
        if self.phase is not LaunchPhase.UNWANTED:
            self.phase = None
        for hook in self._deps.hooks:
            hook.after_launch(self._ref)

    def _report_started(self, container: Container) -> None:
        self._deps.leftovers.settle_create(self._ref.name)
        self._deps.running.started(self._ref, container)
        self._deps.post(ContainerStarted(self._ref, container))
        self._deps.watcher.add(self._ref)
        self._deps.watcher.observe(self._ref, container)

    async def _recover(self) -> None:
        """End a launch of an earlier process, or report that its container ran."""
        found = await retry(UNTIL_DONE, self._find, sleep=self._deps.watcher.wait_reachable)
        if found is not None and found.phase in (Phase.RUNNING, Phase.EXITED):
            self._report_started(found)
            return
        self._deps.post(LaunchCancelled(self._ref))
        await self._remove_for_certain()

    async def _find(self) -> Container | None:
        try:
            return await self._deps.engine.inspect(self._ref.name)
        except NotFound:
            return None

    async def _carry_out_remove(self) -> None:
        if self._ref.name not in self._deps.leftovers.without_logs:
            await self._deps.collect_final_logs(self._ref)
        await self._remove_for_certain()
        self._deps.leftovers.forget(self._ref.name)
        self._deps.running.removed(self._ref)
        if isinstance(self._ref.key, ExecutorKey):
            remove_volumes = partial(self._deps.volumes.remove, self._ref)
            await retry(UNTIL_DONE, remove_volumes, sleep=self._deps.watcher.wait_reachable)

    async def _remove_for_certain(self) -> None:
        """The endpoint has no such container afterwards, and will not make one."""
        self._deps.watcher.forget(self._ref)
        await retry(UNTIL_DONE, self._remove_once, sleep=self._deps.watcher.wait_reachable)
        self._deps.leftovers.settle_create(self._ref.name)

    async def _remove_once(self) -> None:
        name = self._ref.name
        async with self._deps.slots.slot(urgent=True):
            await self._deps.engine.remove(name)
        if self._deps.leftovers.may_still_appear(name):
            raise Transient(f"a create of {name} may still be under way")

    async def _carry_out_stop(self) -> None:
        assert self._stop is not None
        watcher = self._deps.watcher
        watcher.add(self._ref)
        async with self.interruptible():
            stop_once = partial(self._stop_once, self._stop.grace)
            await retry(UNTIL_DONE, stop_once, sleep=watcher.wait_reachable)

    async def _stop_once(self, grace: float) -> None:
        watcher, engine, name = self._deps.watcher, self._deps.engine, self._ref.name
        if self._ref not in watcher:
            return
        try:
            await engine.stop(name, grace)
            found = await engine.inspect(name)
        except NotFound:
            watcher.vanished(self._ref)
            return
        if not watcher.observe(self._ref, found):
            raise Transient(f"{name} runs although it was stopped")
