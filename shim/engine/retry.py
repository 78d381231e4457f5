"""How often, and how long after one another, an endpoint is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import tenacity

from shim import limits
from shim.errors import Doubtful, ShimError, Transient

_exponential = tenacity.wait_random_exponential(
    multiplier=limits.ENGINE_RETRY_MIN, max=limits.ENGINE_RETRY_MAX
)


def _wait(state: tenacity.RetryCallState) -> float:
    """Doubling, with chance so that thousands do not come back at once; or as we were told.

    But not hours: a kill has to get through soon after a maintenance that ended early.
    """
    error = state.outcome.exception() if state.outcome else None
    told = error.retry_after if isinstance(error, Transient) else None
    wanted = _exponential(state) if told is None else told
    return min(max(wanted, limits.ENGINE_RETRY_MIN), limits.ENGINE_RETRY_MAX)


class Passing:
    """Whether to try again: Transient always, Doubtful only so many times."""

    __slots__ = ("_doubts",)

    def __init__(self) -> None:
        self._doubts = 0

    def __call__(self, error: BaseException) -> bool:
        self._doubts += isinstance(error, Doubtful)
        return isinstance(error, Transient) and self._doubts < limits.DOUBTFUL_ATTEMPTS


Sleep = Callable[[float], Awaitable[None]]


def while_passing(
    sleep: Sleep = asyncio.sleep, passing: Passing | None = None
) -> tenacity.AsyncRetrying:
    """Again while the failure may pass; anything else is raised."""
    return _retrying(passing or Passing(), sleep)


def until_done(sleep: Sleep) -> tenacity.AsyncRetrying:
    """Again whatever the endpoint answers: giving up would leave something behind."""
    return _retrying(lambda error: isinstance(error, ShimError), sleep)


def _retrying(again: Callable[[BaseException], bool], sleep: Sleep) -> tenacity.AsyncRetrying:
    return tenacity.AsyncRetrying(
        sleep=sleep, retry=tenacity.retry_if_exception(again), wait=_wait, reraise=True
    )
