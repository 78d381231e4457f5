"""Runs the health checks and checks of all tasks.

One timer queue knows when each check is due. A bounded number of probes runs at once, and only a
running probe has an asyncio task. Probes in containers have a separate queue: network probes
never wait for them.

A failure counts only when the endpoint confirms that the container runs. An endpoint without an
answer makes no task unhealthy, and neither does the end of a task.
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
from shim.engine.checks.policy import ChangePolicy, HealthPolicy
from shim.engine.checks.probe_result import (
    ProbeResult,
    ProbeStatus,
    check_status,
    is_certain,
    passed,
)
from shim.engine.checks.probe_route import ProbeRoute, ProbeTools
from shim.errors import InvalidTask, ShimError
from shim.model.container import Phase, Ref
from shim.model.facts import CheckReported, Fact, HealthReported
from shim.model.orders import StartChecks
from shim.model.timer_queue import TimerQueue
from shim.protos.mesos_pb2 import CheckInfo, HealthCheck

log = logging.getLogger(__name__)

NO_RESULT = ProbeResult(ProbeStatus.NO_ANSWER)
"""The last result of a check before its first probe, as at a stock agent."""


@dataclass(slots=True, eq=False)
class _Check:
    """One health check or check of one container."""

    ref: Ref
    target: spec.CheckTarget
    interval: float
    """Seconds from a result to the next probe."""
    route: ProbeRoute
    to_fact: Callable[[ProbeResult, float], Fact | None]
    """Returns what is reported of a result at a time, if anything."""
    probing: asyncio.Task[None] | None = None


class _ProbeQueue:
    """Starts at most ``limit`` probes at once, in the order in which checks are added."""

    def __init__(self, limit: int, start_probe: Callable[[_Check], asyncio.Task[None]]) -> None:
        self._limit = limit
        self._start_probe = start_probe
        self._waiting: deque[_Check] = deque()
        self.running = 0

    def __len__(self) -> int:
        """Checks that wait for a probe."""
        return len(self._waiting)

    def add(self, check: _Check) -> None:
        self._waiting.append(check)
        self._start_next()

    def discard(self, check: _Check) -> None:
        if check in self._waiting:
            self._waiting.remove(check)

    def _start_next(self) -> None:
        while self._waiting and self.running < self._limit:
            check = self._waiting.popleft()
            self.running += 1
            check.probing = self._start_probe(check)
            check.probing.add_done_callback(self._probe_ended)

    def _probe_ended(self, task: asyncio.Task[None]) -> None:
        self.running -= 1
        self._start_next()


class Checker:
    """Starts and stops checks by container. Posts HealthReported and CheckReported."""

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
        self._tools = ProbeTools(engine, host, execs_at_once)
        self._checks: dict[Ref, list[_Check]] = {}
        self._timers: TimerQueue[_Check] = TimerQueue()
        self._wake = asyncio.Event()
        self._network_queue = _ProbeQueue(limits.CHECKS_AT_ONCE, self._start_probe)
        self._exec_queue = _ProbeQueue(execs_at_once, self._start_probe)
        self.results: Counter[str] = Counter()
        """Probes that ``passed`` and ``failed``. Those without a result are ``unknown``."""

    @property
    def checks(self) -> int:
        """Containers with a health check or check."""
        return len(self._checks)

    @property
    def under_way(self) -> int:
        """Probes that run."""
        return self._network_queue.running + self._exec_queue.running

    @property
    def waiting(self) -> int:
        """Probes that are due and wait for the limit of concurrent probes."""
        return len(self._network_queue) + len(self._exec_queue)

    def start(self, order: StartChecks) -> None:
        """Start the checks of a container. Does nothing when they are started already.

        An invalid check is not started, and the log has a warning.
        """
        if order.ref in self._checks:
            return
        checks = []
        for checks_of in (self._health_checks, self._other_checks):
            try:
                checks += checks_of(order)
            except InvalidTask as error:
                log.warning("check of %s is disabled: %s", order.ref, error)
        if checks:
            self._checks[order.ref] = checks
            self._wake.set()

    def stop(self, ref: Ref) -> None:
        """End the checks of a container. Nothing is posted of it from now on."""
        for check in self._checks.pop(ref, ()):
            self._timers.cancel(check)
            self._network_queue.discard(check)
            self._exec_queue.discard(check)
            if check.probing is not None:
                check.probing.cancel()

    async def run(self) -> None:
        """Make probes when they are due, until cancelled."""
        while True:
            self._wake.clear()
            for check in self._timers.pop_due(self._clock()):
                queue = self._exec_queue if check.route.uses_exec else self._network_queue
                queue.add(check)
            due = self._timers.next_due()
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
        await self._tools.network.close()

    # --- setting up -----------------------------------------------------------------------

    def _health_checks(self, order: StartChecks) -> list[_Check]:
        """Return the task's health check, if it has one. Raises InvalidTask."""
        if not order.task.HasField("health_check"):
            return []
        info = order.task.health_check
        target, grace = spec.check_target(info), spec.grace_period(info)
        policy = HealthPolicy(
            info.consecutive_failures, grace, self._clock(), grace_over=order.was_healthy
        )

        def to_fact(result: ProbeResult, now: float) -> Fact | None:
            verdict = policy.record(passed(target, result), now)
            if verdict is None:
                return None
            return HealthReported(order.ref, verdict.healthy, verdict.kill)

        return [self._schedule_check(order, info, target, to_fact)]

    def _other_checks(self, order: StartChecks) -> list[_Check]:
        """Return the task's check, if it has one. Raises InvalidTask."""
        if not order.task.HasField("check"):
            return []
        target = spec.check_target(order.task.check)
        policy = ChangePolicy(check_status(target, NO_RESULT))

        def to_fact(result: ProbeResult, now: float) -> Fact | None:
            status = policy.record(check_status(target, result))
            return None if status is None else CheckReported(order.ref, status)

        return [self._schedule_check(order, order.task.check, target, to_fact)]

    def _schedule_check(
        self,
        order: StartChecks,
        info: HealthCheck | CheckInfo,
        target: spec.CheckTarget,
        to_fact: Callable[[ProbeResult, float], Fact | None],
    ) -> _Check:
        timing = spec.check_timing(info)
        timeout = timing.timeout or limits.CHECK_TIMEOUT_MAX
        route = ProbeRoute(order.ref, target, order.addresses, self._tools, timeout)
        interval = max(timing.interval, limits.CHECK_INTERVAL_MIN)
        check = _Check(order.ref, target, interval, route, to_fact)
        self._timers.set(check, self._clock() + timing.delay)
        return check

    # --- probing --------------------------------------------------------------------------

    def _start_probe(self, check: _Check) -> asyncio.Task[None]:
        return asyncio.create_task(self._probe(check), name=f"check {check.ref.name}")

    async def _probe(self, check: _Check) -> None:
        try:
            result = await self._confirmed_result(check)
            self._report(check, result)
        except Exception:
            # A bug of the agent: it must end neither this check nor any other.
            log.exception("%s", check.ref)
        check.probing = None
        self._timers.set(check, self._clock() + check.interval)
        self._wake.set()

    async def _confirmed_result(self, check: _Check) -> ProbeResult:
        """Probe. A failure is UNKNOWN unless the container still runs after CHECK_SETTLE."""
        result = await check.route.probe()
        if result.status is ProbeStatus.UNKNOWN or is_certain(check.target, result):
            return result
        # The processes of an ending container are killed before its engine calls it ended.
        await asyncio.sleep(limits.CHECK_SETTLE)
        return result if await self._is_running(check.ref) else ProbeResult(ProbeStatus.UNKNOWN)

    async def _is_running(self, ref: Ref) -> bool:
        try:
            found = await self._engine.inspect(ref.name)
        except ShimError:
            return False
        return found.phase is Phase.RUNNING

    def _report(self, check: _Check, result: ProbeResult) -> None:
        if result.status is ProbeStatus.UNKNOWN:
            self.results["unknown"] += 1
            return
        success = passed(check.target, result)
        self.results["passed" if success else "failed"] += 1
        if not success:
            log.debug("%s: check failed: %s", check.ref, result)
        fact = check.to_fact(result, self._clock())
        if fact is not None:
            self._post(fact)
