"""Everything under way about one container, in one asyncio task at most.

Orders about a container are taken at any time and carried out one after the other; a newer one
interrupts an older one where that is safe (a pull, a wait, a stop), never in the middle of a
create or a start. With nothing left to do an errand ends: a container that just runs has none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from shim import limits
from shim.engine.client.retry import until_done
from shim.engine.containers.deps import WorkerDeps
from shim.engine.containers.launch import LaunchAttempt
from shim.errors import NotFound, Transient
from shim.model.container import Container, Phase, Ref
from shim.model.facts import (
    ContainerRemoved,
    ContainerStarted,
    Failure,
    LaunchCancelled,
    LaunchFailed,
)
from shim.model.orders import CancelLaunch, Launch, Remove, Stop

log = logging.getLogger(__name__)

ContainerOrder = Launch | CancelLaunch | Stop | Remove


class Interrupted(Exception):
    """A newer order makes what is under way pointless."""


class ContainerWorker:
    """The orders about one container that are not carried out yet. Thousands wait at once."""

    __slots__ = (
        "_answered",
        "_aside",
        "_cancelled",
        "_create_sent",
        "_done",
        "_interrupted",
        "_launch",
        "_launching",
        "_ref",
        "_remove",
        "_since",
        "_stop",
        "_task",
        "_too_late",
        "_tools",
        "_yields",
    )

    def __init__(self, ref: Ref, tools: WorkerDeps, done: Callable[[Ref], None]) -> None:
        self._ref = ref
        self._tools = tools
        self._launch: Launch | None = None
        self._launching: LaunchAttempt | None = None
        self._cancelled = False
        self._too_late = False
        """A cancel came when a start was under way: it counts if that start is refused."""
        self._answered = False
        """The cancel was answered when it came; only the cleaning is left."""
        self._stop: Stop | None = None
        self._remove: Remove | None = None
        self._yields = False
        self._interrupted = False
        self._create_sent = False
        self._done = done
        self._aside = False
        """The launch goes on without us until the engine calls back."""
        self._since = tools.clock()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Carry out what was taken. Once is enough: later orders are carried out as well."""
        if self._task is None and not self._aside:
            self._task = asyncio.create_task(self._run(), name=f"errand {self._ref.name}")

    def _again(self) -> None:
        """What was put aside goes on."""
        if self._aside:
            self._aside = False
            self.begin()

    async def close(self) -> None:
        """Drop what is under way; the orders are given again after a restart."""
        self._aside = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # --- taking orders --------------------------------------------------------------------

    def take(self, order: ContainerOrder) -> None:
        match order:
            case Launch():
                self._launch = self._launch or order
            case CancelLaunch():
                self._take_cancel()
            case Stop():
                self._stop = order
                self._interrupt(self._launching is None)
            case Remove():
                self._remove, self._stop = order, None
                if self._launch is not None:
                    self._take_cancel()
                self._interrupt(self._launching is None)

    def _take_cancel(self) -> None:
        """From here on the launch sends no start; if it has sent one, it is not cancelled."""
        self._too_late = self._launching is not None and self._launching.start_sent
        if self._cancelled or self._too_late:
            return
        self._cancelled = True
        if self._launch is not None:
            self._answered = True
            self._tools.post(LaunchCancelled(self._ref))
            self._interrupt(True)

    def _interrupt(self, wanted: bool) -> None:
        if wanted and self._yields and not self._interrupted:
            assert self._task is not None
            self._interrupted = True
            self._task.cancel()

    @contextmanager
    def _yielding(self) -> Iterator[None]:
        """A newer order may end this block with Interrupted."""
        if self._too_late:
            self._take_cancel()
        if self._launching is not None and self._cancelled:
            raise Interrupted
        self._yields = True
        try:
            yield
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
            self._interrupted = False
            assert self._task is not None
            self._task.uncancel()
            raise Interrupted from None
        finally:
            self._yields = False

    # --- carrying them out ----------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while step := self._next():
                try:
                    await step()
                except Interrupted:
                    continue
                except Exception:
                    # A bug of ours: loud, and neither the end of the order nor a busy loop.
                    log.exception("%s", self._ref)
                    await asyncio.sleep(limits.ENGINE_RETRY_MAX)
        finally:
            if self._aside:
                self._task = None
            else:
                self._done(self._ref)

    def _next(self) -> Callable[[], Awaitable[None]] | None:
        if self._aside:
            return None
        if self._launch is not None:
            return self._carry_out_launch
        if self._cancelled:
            return self._carry_out_cancel
        if self._remove is not None:
            return self._carry_out_remove
        return self._carry_out_stop if self._stop is not None else None

    async def _carry_out_launch(self) -> None:
        assert self._launch is not None
        launching = self._launching or LaunchAttempt(
            self._launch, self._tools, self._yielding, self._again, self._since
        )
        self._launching = launching
        outcome: Container | LaunchFailed | None = None
        try:
            outcome = await launching.run()
            self._aside = outcome is None
        except Exception as error:
            if isinstance(error, Interrupted):
                raise
            log.exception("%s", self._ref)
            outcome = LaunchFailed(self._ref, Failure.LAUNCH, f"the shim failed: {error!r}")
        finally:
            self._create_sent = launching.create_sent
            if not self._aside:
                if not (launching.start_sent or isinstance(outcome, Container)):
                    self._tools.unstarted.add(self._ref.name)
                self._launch = self._launching = None
                self._too_late = False
                for hook in self._tools.hooks:
                    hook.after_launch(self._ref)
        if self._cancelled or outcome is None:
            return
        if isinstance(outcome, Container):
            self._started(outcome)
        else:
            self._tools.post(outcome)

    def _started(self, container: Container) -> None:
        self._tools.uncertain.pop(self._ref.name, None)
        self._tools.post(ContainerStarted(self._ref, container))
        self._tools.watch.add(self._ref)
        self._tools.watch.told(self._ref, container)

    async def _carry_out_cancel(self) -> None:
        """Leave nothing of a launch given up, or learn how far one got that we know nothing of."""
        if not self._answered:
            await self._look_for_remains()
        elif self._create_sent:
            await self._remove_certainly()
        self._cancelled = self._answered = self._create_sent = False

    async def _look_for_remains(self) -> None:
        async for attempt in until_done(self._tools.watch.rest):
            with attempt:
                try:
                    found = await self._tools.engine.inspect(self._ref.name)
                except NotFound:
                    break
                if found.phase in (Phase.RUNNING, Phase.EXITED):
                    self._started(found)
                    return
        self._tools.post(LaunchCancelled(self._ref))
        await self._remove_certainly()

    async def _carry_out_remove(self) -> None:
        if self._ref.name not in self._tools.unstarted:
            await self._tools.collect_final_logs(self._ref)
        await self._remove_certainly()
        self._tools.unstarted.discard(self._ref.name)
        self._remove = self._stop = None
        self._tools.post(ContainerRemoved(self._ref))

    async def _remove_certainly(self) -> None:
        name = self._ref.name
        self._tools.watch.forget(self._ref)
        async for attempt in until_done(self._tools.watch.rest):
            with attempt:
                async with self._tools.turns.turn(urgent=True):
                    await self._tools.engine.remove(name)
                if not self._settled(name):
                    raise Transient(f"a create of {name} may still be under way")
        self._tools.uncertain.pop(name, None)

    def _settled(self, name: str) -> bool:
        since = self._tools.uncertain.get(name)
        return since is None or self._tools.clock() - since >= limits.CREATE_SETTLES

    async def _carry_out_stop(self) -> None:
        assert self._stop is not None
        self._tools.watch.add(self._ref)
        with self._yielding():
            async for attempt in until_done(self._tools.watch.rest):
                with attempt:
                    await self._stop_once(self._stop.grace)
        self._stop = None

    async def _stop_once(self, grace: float) -> None:
        watch, engine, name = self._tools.watch, self._tools.engine, self._ref.name
        if self._ref not in watch:
            return
        try:
            await engine.stop(name, grace)
            found = await engine.inspect(name)
        except NotFound:
            watch.vanished(self._ref)
            return
        if not watch.told(self._ref, found):
            raise Transient(f"{name} runs although it was stopped")
