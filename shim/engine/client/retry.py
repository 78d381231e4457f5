"""How often, and how long after one another, an endpoint is asked again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import tenacity

from shim import limits
from shim.errors import AccessDenied, Ambiguous, ShimError, Transient

_exponential = tenacity.wait_random_exponential(
    multiplier=limits.ENGINE_RETRY_MIN, max=limits.ENGINE_RETRY_MAX
)


Wait = Callable[[tenacity.RetryCallState], float]


def _wait(longest: float) -> Wait:
    """Doubling, and not before we were told to come; with chance, so that thousands do not come
    back at once. ``longest``: no longer than that for being told."""

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told = error.retry_after if isinstance(error, Transient) else None
        asked = min(told or 0.0, longest)
        asked += random.uniform(0, min(asked, limits.RETRY_SPREAD))
        return max(asked, _exponential(state), limits.ENGINE_RETRY_MIN)

    return wait


_AS_TOLD = _wait(limits.MAINTENANCE_PATIENCE)
_SOON = _wait(limits.ENGINE_RETRY_MAX / 2)
"""A kill has to get through soon after a maintenance that ended early."""


class Passing:
    """Whether to try again: Transient always, Doubtful only so many times.

    ``unwelcome``: also when the endpoint lets nobody in, which may last.
    """

    __slots__ = ("_doubts", "_unwelcome")

    def __init__(self, *, unwelcome: bool = True) -> None:
        self._doubts = 0
        self._unwelcome = unwelcome

    def __call__(self, error: BaseException) -> bool:
        self._doubts += isinstance(error, Ambiguous)
        if isinstance(error, AccessDenied) and not self._unwelcome:
            return False
        return isinstance(error, Transient) and self._doubts < limits.DOUBTFUL_ATTEMPTS


Sleep = Callable[[float], Awaitable[None]]


def while_passing(sleep: Sleep, passing: Passing) -> tenacity.AsyncRetrying:
    """Again while the failure may pass, not before we were told to; anything else is raised."""
    return _retrying(passing, sleep, _AS_TOLD)


def soon_while_passing(passing: Passing) -> tenacity.AsyncRetrying:
    """The same for what others wait for, whose patience does not know what we were told."""
    return _retrying(passing, asyncio.sleep, _SOON)


def a_few_times() -> tenacity.AsyncRetrying:
    """Again, but only so often: what is tried keeps others waiting."""
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(Transient),
        stop=tenacity.stop_after_attempt(limits.FEW_ATTEMPTS),
        wait=_exponential,
        reraise=True,
    )


def until_done(sleep: Sleep) -> tenacity.AsyncRetrying:
    """Again whatever the endpoint answers: giving up would leave something behind."""
    return _retrying(lambda error: isinstance(error, ShimError), sleep, _SOON)


def _retrying(
    again: Callable[[BaseException], bool], sleep: Sleep, wait: Wait
) -> tenacity.AsyncRetrying:
    return tenacity.AsyncRetrying(
        sleep=sleep, retry=tenacity.retry_if_exception(again), wait=wait, reraise=True
    )
