"""All checks of all tasks: one heap says what is due, a bounded number of probes is under way.

An asyncio task exists per probe under way, never per check. Probes in containers have a lane of
their own, so that the slow way never keeps the quick one waiting. What a probe finds counts only
when the endpoint confirms that the container runs: neither a daemon that is away nor a task that
just ends makes anything unhealthy.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from shim import limits
from shim.engine.api import Engine
from shim.engine.checks import spec
from shim.engine.checks.policy import Changes, Health
from shim.engine.checks.probe_result import (
    ProbeResult,
    ProbeStatus,
    check_status,
    is_certain,
    passed,
)
from shim.engine.checks.route import Prober, Route
from shim.engine.checks.schedule import Schedule
from shim.errors import InvalidTask, ShimError
from shim.model.container import Phase, Ref
from shim.model.facts import CheckReported, Fact, HealthReported
from shim.model.orders import StartChecks
from shim.protos.mesos_pb2 import CheckInfo, HealthCheck

log = logging.getLogger(__name__)

NOTHING = ProbeResult(ProbeStatus.SILENT)
"""A check that has not been made looks like one that had no answer."""


@dataclass(slots=True, eq=False)
class _Check:
    """One health check or check of one container."""

    ref: Ref
    target: spec.Target
    interval: float
    route: Route
    judge: Callable[[ProbeResult, float], Fact | None]
    probing: asyncio.Task[None] | None = None


class _Lane:
    """At most ``count`` probes at once; the others wait in line."""

    def __init__(self, count: int, probe: Callable[[_Check], asyncio.Task[None]]) -> None:
        self._count = count
        self._probe = probe
        self._waiting: deque[_Check] = deque()
        self.under_way = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, check: _Check) -> None:
        self._waiting.append(check)
        self._go_on()

    def discard(self, check: _Check) -> None:
        if check in self._waiting:
            self._waiting.remove(check)

    def _go_on(self) -> None:
        while self._waiting and self.under_way < self._count:
            check = self._waiting.popleft()
            self.under_way += 1
            check.probing = self._probe(check)
            check.probing.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.under_way -= 1
        self._go_on()


class Checker:
    """Starts and stops checks; posts HealthReported and CheckReported."""

    def __init__(
        self,
        engine: Engine,
        post: Callable[[Fact], None],
        *,
        host: str = "",
        execs_at_once: int = limits.EXECS_AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``host`` is the engine host's address, for containers on its network. Needs a loop."""
        self._engine = engine
        self._post = post
        self._clock = clock
        self._prober = Prober(engine, host, execs_at_once)
        self._checks: dict[Ref, list[_Check]] = {}
        self._schedule: Schedule[_Check] = Schedule()
        self._wake = asyncio.Event()
        self._near = _Lane(limits.CHECKS_AT_ONCE, self._begin)
        self._dear = _Lane(execs_at_once, self._begin)
        self.results: Counter[str] = Counter()
        """Probes so far that ``passed``, ``failed``, and that were ``unknown``: no result."""

    @property
    def checks(self) -> int:
        """Containers under checks."""
        return len(self._checks)

    @property
    def under_way(self) -> int:
        """Probes being made."""
        return self._near.under_way + self._dear.under_way

    @property
    def waiting(self) -> int:
        """Probes that are due and wait for their turn."""
        return len(self._near) + len(self._dear)

    def start(self, order: StartChecks) -> None:
        """Check from now on; one that is checked already goes on as it is.

        A health check or check that makes no sense is told in the log, and not made.
        """
        if order.ref in self._checks:
            return
        checks = []
        for make in (self._health, self._check):
            try:
                checks += make(order)
            except InvalidTask as error:
                log.warning("%s runs unchecked: %s", order.ref, error)
        if checks:
            self._checks[order.ref] = checks
            self._wake.set()

    def stop(self, ref: Ref) -> None:
        """Nothing is told of it from now on."""
        for check in self._checks.pop(ref, ()):
            self._schedule.discard(check)
            self._near.discard(check)
            self._dear.discard(check)
            if check.probing is not None:
                check.probing.cancel()

    async def run(self) -> None:
        """Probe what is due, until cancelled."""
        while True:
            self._wake.clear()
            for check in self._schedule.take_due(self._clock()):
                (self._dear if check.route.inside else self._near).take(check)
            due = self._schedule.next_due()
            try:
                async with asyncio.timeout(None if due is None else max(0, due - self._clock())):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """End every probe."""
        probes = [c.probing for checks in self._checks.values() for c in checks if c.probing]
        for ref in list(self._checks):
            self.stop(ref)
        await asyncio.gather(*probes, return_exceptions=True)
        await self._prober.close()

    # --- setting up -----------------------------------------------------------------------

    def _health(self, order: StartChecks) -> list[_Check]:
        if not order.task.HasField("health_check"):
            return []
        info = order.task.health_check
        target, grace = spec.target(info), spec.grace(info)
        health = Health(
            info.consecutive_failures, grace, self._clock(), grace_over=order.was_healthy
        )

        def judge(outcome: ProbeResult, now: float) -> Fact | None:
            verdict = health.result(passed(target, outcome), now)
            if verdict is None:
                return None
            return HealthReported(order.ref, verdict.healthy, verdict.kill)

        return [self._plan(order, info, target, judge)]

    def _check(self, order: StartChecks) -> list[_Check]:
        if not order.task.HasField("check"):
            return []
        target = spec.target(order.task.check)
        changes = Changes(check_status(target, NOTHING))

        def judge(outcome: ProbeResult, now: float) -> Fact | None:
            status = changes.result(check_status(target, outcome))
            return None if status is None else CheckReported(order.ref, status)

        return [self._plan(order, order.task.check, target, judge)]

    def _plan(
        self,
        order: StartChecks,
        info: HealthCheck | CheckInfo,
        target: spec.Target,
        judge: Callable[[ProbeResult, float], Fact | None],
    ) -> _Check:
        timing = spec.timing(info)
        timeout = timing.timeout or limits.CHECK_TIMEOUT_MAX
        route = Route(order.ref, target, order.addresses, self._prober, timeout)
        interval = max(timing.interval, limits.CHECK_INTERVAL_MIN)
        check = _Check(order.ref, target, interval, route, judge)
        self._schedule.put(check, self._clock() + timing.delay)
        return check

    # --- probing --------------------------------------------------------------------------

    def _begin(self, check: _Check) -> asyncio.Task[None]:
        return asyncio.create_task(self._probe(check), name=f"check {check.ref.name}")

    async def _probe(self, check: _Check) -> None:
        try:
            outcome = await self._outcome(check)
            self._tell(check, outcome)
        except Exception:
            # A bug of ours: loud, without ending this check or any other.
            log.exception("%s", check.ref)
        check.probing = None
        self._schedule.put(check, self._clock() + check.interval)
        self._wake.set()

    async def _outcome(self, check: _Check) -> ProbeResult:
        outcome = await check.route.probe()
        if outcome.sign is ProbeStatus.UNKNOWN or is_certain(check.target, outcome):
            return outcome
        # An ending container's processes are killed before its engine calls it ended.
        await asyncio.sleep(limits.CHECK_SETTLE)
        return outcome if await self._runs(check.ref) else ProbeResult(ProbeStatus.UNKNOWN)

    async def _runs(self, ref: Ref) -> bool:
        try:
            found = await self._engine.inspect(ref.name)
        except ShimError:
            return False
        return found.phase is Phase.RUNNING

    def _tell(self, check: _Check, outcome: ProbeResult) -> None:
        if outcome.sign is ProbeStatus.UNKNOWN:
            self.results["unknown"] += 1
            return
        good = passed(check.target, outcome)
        self.results["passed" if good else "failed"] += 1
        if not good:
            log.debug("%s: check failed: %s", check.ref, outcome)
        fact = check.judge(outcome, self._clock())
        if fact is not None:
            self._post(fact)
