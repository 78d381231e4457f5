"""How often, and how long after one another, a call to an endpoint is repeated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from shim import limits
from shim.errors import AccessDenied, Ambiguous, ShimError, Transient

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

_exponential = tenacity.wait_random_exponential(
    multiplier=limits.ENGINE_RETRY_MIN, max=limits.ENGINE_RETRY_MAX
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Which errors are followed by another attempt, and when. Pauses are in seconds."""

    retried: type[ShimError]
    not_retried: tuple[type[ShimError], ...] = ()
    """Subclasses of ``retried`` that are raised at once."""
    ambiguous_attempts: int | None = None
    """The number of :class:`Ambiguous` errors at which the call fails. None: no such number."""
    attempts: int | None = None
    """The number of all attempts after which the call fails. None: no such number."""
    shortest_pause: float = limits.ENGINE_RETRY_MIN
    longest_asked: float = limits.ENGINE_RETRY_MAX / 2
    """A pause that the endpoint asks for (``retry_after``) counts up to this length."""

    def retries(self, error: BaseException, ambiguous: int) -> bool:
        """Whether another attempt follows. ``ambiguous`` counts Ambiguous errors, with this one."""
        if not isinstance(error, self.retried) or isinstance(error, self.not_retried):
            return False
        return self.ambiguous_attempts is None or ambiguous < self.ambiguous_attempts

    def pause(self, state: tenacity.RetryCallState) -> float:
        """Return the seconds to the next attempt: doubling, at least what the endpoint asked for.

        Both are randomized, so that thousands of repeated calls do not arrive at once.
        """
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, Transient) else None
        asked = min(retry_after or 0.0, self.longest_asked)
        asked += random.uniform(0, min(asked, limits.RETRY_SPREAD))
        return max(asked, _exponential(state), self.shortest_pause)


LAUNCH = RetryPolicy(
    Transient,
    ambiguous_attempts=limits.AMBIGUOUS_ATTEMPTS,
    longest_asked=limits.MAINTENANCE_WAIT_MAX,
)
"""An attempt to launch: its own deadline ends it, also through an announced maintenance."""

PULL = RetryPolicy(
    Transient, not_retried=(AccessDenied,), ambiguous_attempts=limits.AMBIGUOUS_ATTEMPTS
)
"""A pull that several launches wait for, whose deadlines the pull does not know. When access is
denied each launch retries by itself until its own deadline."""

FINAL_LOGS = RetryPolicy(
    Transient, attempts=limits.FINAL_LOGS_ATTEMPTS, shortest_pause=0.0, longest_asked=0.0
)
"""Reading an ended container's last output: other ended containers wait meanwhile."""

UNTIL_DONE = RetryPolicy(ShimError)
"""A stop or a removal: giving up would leave a container behind. A pause that the endpoint asks
for counts for seconds only, since a maintenance may end early."""


@dataclass(slots=True)
class FailureCount:
    """Failed attempts that were followed by a pause, across several calls of :func:`retry`."""

    total: int = 0
    ambiguous: int = 0

    def add(self, error: BaseException) -> None:
        self.total += 1
        self.ambiguous += isinstance(error, Ambiguous)


async def retry(
    policy: RetryPolicy,
    call: Callable[[], Awaitable[T]],
    *,
    sleep: Sleep = asyncio.sleep,
    failures: FailureCount | None = None,
) -> T:
    """``call`` until it succeeds, or raises an error that ``policy`` does not retry.

    The first attempt is made without tenacity, whose state takes 2 kB and some time: most of
    thousands of launches need just one.
    """
    count = FailureCount() if failures is None else failures
    first: ShimError | None
    try:
        return await call()
    except policy.retried as error:
        first = error

    async def attempt() -> T:
        nonlocal first
        try:
            if first is None:
                return await call()
            error, first = first, None
            raise error
        except policy.retried as error:
            count.add(error)
            raise

    attempts = policy.attempts
    return await tenacity.AsyncRetrying(
        sleep=sleep,
        retry=tenacity.retry_if_exception(lambda error: policy.retries(error, count.ambiguous)),
        stop=tenacity.stop_never if attempts is None else tenacity.stop_after_attempt(attempts),
        wait=policy.pause,
        reraise=True,
    )(attempt)
