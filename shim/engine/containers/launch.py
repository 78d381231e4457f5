"""One launch: prepare, pull, create (or adopt), start, inspect.

Every part may be repeated. :mod:`~shim.engine.containers.worker_table` says when a launch may be
cancelled, and what keeps a container from being started twice.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol

from shim import limits
from shim.engine.api import ContainerSpec
from shim.engine.client.retry import LAUNCH, FailureCount, retry
from shim.engine.containers.worker_deps import WorkerDeps
from shim.engine.containers.worker_table import CANCELLED, LaunchEvent, LaunchPhase
from shim.engine.mapping.command import complete_command, complete_workdir
from shim.engine.mapping.pod import with_address
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


class Interrupted(Exception):
    """A newer order ended the work under way."""


class LaunchFailure(Exception):
    """The launch failed and is not repeated.

    ``core.status`` turns ``failure`` into the reason of the status update.
    """

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class LaunchOwner(Protocol):
    """The worker, as its launch needs it."""

    phase: LaunchPhase | None

    def apply(self, event: LaunchEvent) -> None:
        """Take the launch to its next phase; Interrupted when it is cancelled."""

    async def create_allowed(self) -> None:
        """Return once it is durable that the container may exist."""

    def interruptible(self, seconds: float | None = None) -> AbstractAsyncContextManager[None]:
        """A context manager. Raises Interrupted on a cancel, TimeoutError after ``seconds``."""

    def on_ready(self) -> None:
        """Called by the engine when a parked launch can continue."""


class LaunchAttempt:
    """One launch under way; the owner keeps its phase.

    A launch whose create takes long is parked: :meth:`run` returns None, and is called again
    after the engine has called :meth:`LaunchOwner.on_ready`.
    """

    __slots__ = (
        "_deadline",
        "_deps",
        "_failures",
        "_holds_slot",
        "_last_advance",
        "_last_error",
        "_order",
        "_ordered_at",
        "_owner",
        "_retry_after",
        "_waited",
    )

    def __init__(
        self, order: Launch, deps: WorkerDeps, owner: LaunchOwner, ordered_at: float
    ) -> None:
        self._order = order
        self._deps = deps
        self._owner = owner
        self._ordered_at = ordered_at
        """When the launch entered the queue, on the clock of ``deps``."""
        self._deadline = deps.clock() + deps.launch_timeout
        self._holds_slot = False
        self._failures = FailureCount()
        self._last_advance: LaunchAdvanced | None = None
        self._last_error = ""
        self._retry_after: float | None = None
        """Seconds that the endpoint asked to wait with its last error."""
        self._waited = 0.0
        """Seconds waited so far because the endpoint asked for it."""

    async def run(self) -> Container | LaunchFailed | None:
        """Return the container once it runs or ran, a failure, or None for a parked launch."""
        try:
            return await self._run()
        except InProgress:
            self._owner.apply(LaunchEvent.PARK)
            return None
        except LaunchFailure as error:
            self._release_slot()
            self._deps.watcher.forget(self._order.ref)
            return LaunchFailed(self._order.ref, error.failure, str(error))
        except BaseException:
            self._release_slot()
            raise

    async def _run(self) -> Container:
        try:
            spec = self._deps.make_spec(self._order)
        except InvalidTask as error:
            raise LaunchFailure(Failure.INVALID, str(error)) from None
        if self._owner.phase is LaunchPhase.PREPARING:
            await self._prepare(spec)
        attempt = partial(self._attempt_once, spec)
        try:
            return await retry(LAUNCH, attempt, sleep=self._sleep, failures=self._failures)
        except InProgress:
            raise
        except ShimError as error:
            raise LaunchFailure(Failure.LAUNCH, str(error)) from None

    async def _prepare(self, spec: ContainerSpec) -> None:
        for warning in spec.warnings:
            log.warning("%s: %s", self._order.ref, warning)
        for hook in self._deps.hooks:
            if hook.applies_to(self._order):
                self._advance(Stage.FETCHING)
            try:
                async with self._within_deadline():
                    await hook.before_create(self._order)
            except ShimError as error:
                raise LaunchFailure(Failure.FETCH, str(error)) from None

    async def _attempt_once(self, spec: ContainerSpec) -> Container:
        try:
            return await self._attempt(spec)
        except Transient as error:
            self._note(error)
            raise

    def _note(self, error: Transient) -> None:
        """Report the error while the launch waits, not only at its end."""
        self._last_error, self._retry_after = str(error), error.retry_after
        if self._deps.log_throttle.should_log():
            log.warning("%s makes no progress: %s", self._order.ref, self._last_error)
        last = self._last_advance
        self._advance(last.stage if last else Stage.PULLING, self._last_error)

    async def _sleep(self, seconds: float) -> None:
        """The pause between two attempts."""
        if self._owner.phase is LaunchPhase.CONFIRMING:
            # A kill waits for the outcome, so the pause is short whatever the endpoint asked for.
            await self._deps.watcher.wait_reachable(min(seconds, limits.ENGINE_RETRY_MAX))
            return
        if self._retry_after:
            # Waiting that the endpoint asked for moves the deadline, within reason.
            granted = min(seconds, limits.MAINTENANCE_WAIT_MAX - self._waited)
            self._waited += granted
            self._deadline += granted
        async with self._within_deadline():
            await self._deps.watcher.wait_reachable(seconds)

    async def _attempt(self, spec: ContainerSpec) -> Container:
        if self._holds_slot:
            # It was parked, and may have been cancelled meanwhile.
            self._owner.apply(LaunchEvent.WAIT)
        else:
            if self._owner.phase is not LaunchPhase.CONFIRMING:
                await self._ensure_image(spec)
                spec = await self._join_executor(spec)
            await self._wait_for_slot()
        try:
            found = await self._bring_up(spec)
        except InProgress:
            # The endpoint still works on the create, which keeps its slot until it has ended.
            raise
        except BaseException:
            self._release_slot()
            raise
        self._release_slot()
        return found

    def _release_slot(self) -> None:
        if self._holds_slot:
            self._holds_slot = False
            self._deps.slots.release()

    async def _ensure_image(self, spec: ContainerSpec) -> None:
        first = self._owner.phase is LaunchPhase.PREPARING
        try:
            async with self._within_deadline():
                await self._deps.images.ensure(
                    spec.image,
                    partial(self._deps.auth_for, self._order, spec.image),
                    force=spec.force_pull and first,
                    platform=spec.platform,
                    report=partial(self._advance, Stage.PULLING),
                )
        except (Ambiguous, Permanent) as error:
            raise LaunchFailure(Failure.PULL, f"Cannot pull {spec.image.text}: {error}") from None

    async def _join_executor(self, spec: ContainerSpec) -> ContainerSpec:
        """Wait for the container that must run first: without a slot, which that one may need.

        The core is asked before, since it may allow the creates of a task group all at once.
        """
        executor = self._order.executor
        if executor is None:
            return spec
        if executor.infra:
            await self._infra_runs()
        else:
            await self._create_allowed()
        self._deps.volumes.add(executor.ref, spec)
        if not spec.starts_after:
            return spec
        async with self._within_deadline():
            addresses = await self._deps.running.wait(spec.starts_after)
        return with_address(spec, self._order, addresses)

    async def _infra_runs(self) -> None:
        """As _create_allowed. The launch of the infra container has a deadline of its own."""
        began = self._deps.clock()
        self._advance(Stage.CREATING)
        async with self._owner.interruptible():
            await self._owner.create_allowed()
        self._deadline += self._deps.clock() - began

    async def _wait_for_slot(self) -> None:
        """Waiting for a slot moves the deadline as long as the endpoint answers any call."""
        deps, began = self._deps, self._deps.clock()
        # A repeated attempt may come hours after the order, when the endpoint asked to wait.
        until = (began if self._failures.total else self._ordered_at) + deps.launch_timeout
        confirming = self._owner.phase is LaunchPhase.CONFIRMING
        while not self._holds_slot:
            with suppress(TimeoutError):
                async with self._owner.interruptible(max(0.0, until - deps.clock())):
                    await deps.slots.acquire(urgent=confirming)
                    self._holds_slot = True
            if not self._holds_slot:
                if deps.watcher.age > deps.launch_timeout and not confirming:
                    raise self._too_long()
                until = deps.clock() + deps.launch_timeout
        self._deadline += deps.clock() - began

    async def _bring_up(self, spec: ContainerSpec) -> Container:
        confirming = self._owner.phase is LaunchPhase.CONFIRMING
        found = await (self._inspect() if confirming else self._create(spec))
        if found is None or found.phase in (Phase.CREATED, Phase.PROVISIONING):
            await self._start()
            found = await self._inspect()
        return found

    async def _create(self, spec: ContainerSpec) -> Container | None:
        """None: it was created now. Otherwise the container that an earlier attempt made."""
        if spec.completes_image_command:
            spec = complete_command(spec, await self._image_config(spec))
        if spec.default_workdir:
            spec = complete_workdir(spec, await self._image_config(spec))
        await self._create_allowed()
        self._owner.apply(LaunchEvent.CREATE)
        try:
            if self._deps.notifier is None:
                await self._deps.engine.create(spec)
            else:
                await self._deps.notifier.create_or_notify(spec, self._owner.on_ready)
        except NameTaken as error:
            return await self._adopt(spec, error)
        except NotFound as error:
            self._deps.images.forget(spec.image)
            raise Ambiguous(str(error)) from None
        except Transient:
            self._deps.leftovers.add_unanswered_create(self._order.ref.name)
            raise
        return None

    async def _create_allowed(self) -> None:
        """Report that the create is next, and return once it may be sent."""
        self._advance(Stage.CREATING)
        async with self._within_deadline():
            await self._owner.create_allowed()

    async def _image_config(self, spec: ContainerSpec) -> Mapping[str, Any]:
        try:
            return await self._deps.images.config(spec.image)
        except NotFound as error:
            self._deps.images.forget(spec.image)
            raise Ambiguous(str(error)) from None

    async def _adopt(self, spec: ContainerSpec, conflict: NameTaken) -> Container:
        try:
            found = await self._deps.engine.inspect(spec.name)
        except NotFound:
            # The engine still works on an earlier create, whose answer was lost, or on a removal.
            raise Transient(str(conflict)) from None
        owner = spec.body["Labels"][LABEL_SHIM]
        if found.owner != owner or found.container_id != self._order.ref.container_id:
            raise Permanent(f"name taken by a container that is not this task's: {conflict}")
        self._deps.volumes.doubt(self._order.ref)
        return found

    async def _start(self) -> None:
        for hook in self._deps.hooks:
            async with self._within_deadline():
                await hook.after_create(self._order)
        self._owner.apply(LaunchEvent.START)
        self._deps.watcher.starting(self._order.ref)
        outcome = LaunchEvent.ANSWERED
        try:
            await self._deps.engine.start(self._order.ref.name)
        except AccessDenied:
            outcome = LaunchEvent.REFUSED
            raise
        finally:
            self._owner.apply(outcome)

    async def _inspect(self) -> Container:
        try:
            return await self._deps.engine.inspect(self._order.ref.name)
        except NotFound as error:
            text = f"the container was removed while it was being started: {error}"
            raise Permanent(text) from None

    def _advance(self, stage: Stage, detail: str = "") -> None:
        """Report progress, once however often an attempt is repeated; none after a cancel."""
        fact = LaunchAdvanced(self._order.ref, stage, detail)
        if fact != self._last_advance and self._owner.phase not in CANCELLED:
            self._last_advance = fact
            self._deps.post(fact)

    @asynccontextmanager
    async def _within_deadline(self) -> AsyncIterator[None]:
        """A block that a cancel may interrupt, and that must end before the deadline."""
        try:
            async with self._owner.interruptible(max(0.0, self._deadline - self._deps.clock())):
                yield
        except TimeoutError:
            raise self._too_long() from None

    def _too_long(self) -> LaunchFailure:
        text = f"not started within {self._deps.launch_timeout:g} s"
        if self._waited:
            text += f", and {self._waited:.0f} s that the endpoint asked to wait"
        if self._last_advance is not None:
            text += f", while {self._last_advance.stage.value}"
        if self._last_error:
            text += f": {self._last_error}"
        return LaunchFailure(Failure.TIMEOUT, text)
