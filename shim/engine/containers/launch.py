"""One launch: prepare, image, create (or adopt), start, look.

Every step may be repeated. What keeps a container from being started twice is this: until a
start was sent, a launch may be given up or begun again; from then on the endpoint's word about
this very container is awaited, however long that takes, and nothing is created any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager

from shim import limits
from shim.engine.api import ContainerSpec
from shim.engine.client.retry import Passing, while_passing
from shim.engine.containers.deps import WorkerDeps
from shim.errors import (
    AccessDenied,
    Ambiguous,
    InProgress,
    InvalidTask,
    NameTaken,
    NotFound,
    Permanent,
    ShimError,
    Transient,
)
from shim.model.container import LABEL_SHIM, Container, Phase
from shim.model.facts import Failure, LaunchAdvanced, LaunchFailed, Stage
from shim.model.orders import Launch

log = logging.getLogger(__name__)


class LaunchFailure(Exception):
    """The launch came to nothing."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class LaunchAttempt:
    """One launch under way. ``yielding`` marks where it may be interrupted.

    When its create takes long it is put aside: ``run`` returns None, and is to be run again when
    ``again`` is called.
    """

    __slots__ = (
        "_again",
        "_asked",
        "_deadline",
        "_order",
        "_passing",
        "_prepared",
        "_since",
        "_told",
        "_tools",
        "_trouble",
        "_turn",
        "_waited",
        "_yielding",
        "create_sent",
        "start_sent",
    )

    def __init__(
        self,
        order: Launch,
        tools: WorkerDeps,
        yielding: Callable[[], AbstractContextManager[None]],
        again: Callable[[], None],
        since: float,
    ) -> None:
        """Ordered at ``since``, and in line from then on."""
        self._order = order
        self._tools = tools
        self._yielding = yielding
        self._again = again
        self._since = since
        self._prepared = self._turn = False
        self._passing: Passing | None = None
        self._told: LaunchAdvanced | None = None
        self._trouble = ""
        self._deadline = tools.clock() + tools.patience
        self._asked = False
        """The endpoint asked to wait."""
        self._waited = 0.0
        """Seconds for which it did."""
        self.start_sent = False
        self.create_sent = False

    async def run(self) -> Container | LaunchFailed | None:
        """The container, which runs or ran; or why it never did. None: put aside."""
        try:
            return await self._run()
        except InProgress:
            return None
        except BaseException as error:
            self._give_turn_back()
            if not isinstance(error, LaunchFailure):
                raise
            self._tools.watch.forget(self._order.ref)
            return LaunchFailed(self._order.ref, error.failure, str(error))

    async def _run(self) -> Container:
        try:
            spec = self._tools.make_spec(self._order)
        except InvalidTask as error:
            raise LaunchFailure(Failure.INVALID, str(error)) from None
        if not self._prepared:
            await self._prepare(spec)
            self._prepared = True
        try:
            return await self._insist(spec)
        except InProgress:
            raise
        except ShimError as error:
            raise LaunchFailure(Failure.LAUNCH, str(error)) from None

    async def _prepare(self, spec: ContainerSpec) -> None:
        for warning in spec.warnings:
            log.warning("%s: %s", self._order.ref, warning)
        for hook in self._tools.hooks:
            if hook.wanted(self._order):
                self._advance(Stage.FETCHING)
            try:
                async with self._patiently():
                    await hook.before_create(self._order)
            except ShimError as error:
                raise LaunchFailure(Failure.FETCH, str(error)) from None

    async def _insist(self, spec: ContainerSpec) -> Container:
        """Attempt until it runs, is refused, or takes too long.

        The first attempt is by itself: what keeps count of attempts takes 2 kB and its time, and
        most of thousands of launches need just one.
        """
        failed: Transient | None = None
        try:
            return await self._attempt(spec)
        except Transient as error:
            failed = error
        self._passing = self._passing or Passing()
        async for attempt in while_passing(self._sleep, self._passing):
            with attempt:
                try:
                    if failed is None:
                        return await self._attempt(spec)
                    raise failed
                except Transient as error:
                    failed = None
                    self._note(error)
                    raise
        raise AssertionError("an attempt returns or raises")

    def _note(self, error: Transient) -> None:
        """The trouble is said where people look while it lasts, not only at the end."""
        self._trouble, self._asked = str(error), bool(error.retry_after)
        if self._tools.complaint.due():
            log.warning("%s does not get on: %s", self._order.ref, self._trouble)
        self._advance(self._told.stage if self._told else Stage.PULLING, self._trouble)

    async def _sleep(self, seconds: float) -> None:
        """What the endpoint asks to wait costs no patience, within reason."""
        if self.start_sent:
            # A kill waits for what becomes of it.
            await self._tools.watch.rest(min(seconds, limits.ENGINE_RETRY_MAX))
            return
        if self._asked:
            granted = min(seconds, limits.MAINTENANCE_PATIENCE - self._waited)
            self._waited += granted
            self._deadline += granted
        async with self._patiently():
            await self._tools.watch.rest(seconds)

    async def _attempt(self, spec: ContainerSpec) -> Container:
        if self._turn:
            with self._yielding():
                """Put aside, and maybe given up meanwhile."""
        else:
            await self._begin(spec)
        try:
            found = await self._bring_up(spec)
        except InProgress:
            # It goes on without us, and takes its turn until it has ended.
            raise
        except BaseException:
            self._give_turn_back()
            raise
        self._give_turn_back()
        return found

    async def _begin(self, spec: ContainerSpec) -> None:
        if not self.start_sent:
            await self._image(spec)
        await self._wait_for_turn()
        self._turn = True

    def _give_turn_back(self) -> None:
        if self._turn:
            self._turn = False
            self._tools.turns.release()

    async def _image(self, spec: ContainerSpec) -> None:
        try:
            async with self._patiently():
                await self._tools.images.ensure(
                    spec.image,
                    lambda: self._tools.auth_for(self._order, spec.image),
                    force=spec.force_pull and not self.create_sent,
                    platform=spec.platform,
                    report=lambda text: self._advance(Stage.PULLING, text),
                )
        except (Ambiguous, Permanent) as error:
            raise LaunchFailure(Failure.PULL, f"Cannot pull {spec.image.text}: {error}") from None

    async def _wait_for_turn(self) -> None:
        """Waiting in line costs no patience as long as the endpoint answers anybody."""
        turns, watch, began = self._tools.turns, self._tools.watch, self._tools.clock()
        # Who comes again was in line already, and may have been told to wait for hours since.
        until = (began if self._passing else self._since) + self._tools.patience
        while True:
            try:
                async with asyncio.timeout(max(0.0, until - self._tools.clock())):
                    with self._yielding():
                        await turns.acquire(urgent=self.start_sent)
                break
            except TimeoutError:
                if watch.age > self._tools.patience and not self.start_sent:
                    raise self._too_long() from None
                until = self._tools.clock() + self._tools.patience
        self._deadline += self._tools.clock() - began

    async def _bring_up(self, spec: ContainerSpec) -> Container:
        found = await (self._look() if self.start_sent else self._create(spec))
        if found is None or found.phase in (Phase.CREATED, Phase.PROVISIONING):
            await self._start()
            found = await self._look()
        return found

    async def _create(self, spec: ContainerSpec) -> Container | None:
        """None: it was created now. Otherwise what an earlier attempt of ours left."""
        self._advance(Stage.CREATING)
        self.create_sent = True
        try:
            await self._tools.engine.create(spec, self._again)
        except NameTaken as error:
            return await self._adopt(spec, error)
        except NotFound as error:
            self._tools.images.forget(spec.image)
            raise Ambiguous(str(error)) from None
        except Transient:
            self._uncertain()
            raise
        return None

    async def _adopt(self, spec: ContainerSpec, taken: NameTaken) -> Container:
        try:
            found = await self._tools.engine.inspect(spec.name)
        except NotFound:
            raise Ambiguous(str(taken)) from None
        ours = spec.body["Labels"][LABEL_SHIM]
        if found.owner != ours or found.container_id != self._order.ref.container_id:
            raise Permanent(f"name taken by a container that is not this task's: {taken}")
        return found

    async def _start(self) -> None:
        for hook in self._tools.hooks:
            async with self._patiently():
                await hook.after_create(self._order)
        with self._yielding():
            """The last moment to give up."""
        first, self.start_sent = not self.start_sent, True
        self._tools.watch.expect(self._order.ref)
        try:
            await self._tools.engine.start(self._order.ref.name)
        except AccessDenied:
            # Nobody was let in, so nothing was started: it may be given up again.
            self.start_sent = not first
            raise

    async def _look(self) -> Container:
        try:
            return await self._tools.engine.inspect(self._order.ref.name)
        except NotFound as error:
            text = f"the container was removed while it was being started: {error}"
            raise Permanent(text) from None

    def _uncertain(self) -> None:
        self._tools.uncertain[self._order.ref.name] = self._tools.clock()

    def _advance(self, stage: Stage, detail: str = "") -> None:
        """Told once, however often an attempt is repeated."""
        fact = LaunchAdvanced(self._order.ref, stage, detail)
        if fact != self._told:
            self._told = fact
            self._tools.post(fact)

    @asynccontextmanager
    async def _patiently(self) -> AsyncIterator[None]:
        """What may be interrupted, and has to be over when patience is."""
        left = self._deadline - self._tools.clock()
        try:
            async with asyncio.timeout(max(left, 0)):
                with self._yielding():
                    yield
        except TimeoutError:
            raise self._too_long() from None

    def _too_long(self) -> LaunchFailure:
        text = f"not started within {self._tools.patience:g} s"
        if self._waited:
            text += f", and {self._waited:.0f} s that the endpoint asked to wait"
        if self._told is not None:
            text += f", while {self._told.stage.value}"
        if self._trouble:
            text += f": {self._trouble}"
        return LaunchFailure(Failure.TIMEOUT, text)
