from __future__ import annotations

import pytest

from shim import limits
from shim.engine.client.retry import Passing, until_done, while_passing
from shim.errors import Ambiguous, NotFound, Permanent, ShimError, Transient


class Attempts:
    """Fails with each error in turn, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def passing(self) -> str:
        async for attempt in while_passing(self.sleep, Passing()):
            with attempt:
                if self.errors:
                    raise self.errors.pop(0)
                return "done"
        raise AssertionError


async def test_what_passes_is_awaited_with_growing_bounded_pauses() -> None:
    attempts = Attempts(*(Transient("x") for _ in range(50)))
    assert await attempts.passing() == "done"
    assert len(attempts.waits) == 50
    low, high = limits.ENGINE_RETRY_MIN, limits.ENGINE_RETRY_MAX
    assert all(low <= wait <= high for wait in attempts.waits)
    assert max(attempts.waits[:3]) <= low * 4
    assert max(attempts.waits) > 1


PATIENCE, SPREAD = limits.MAINTENANCE_PATIENCE, limits.RETRY_SPREAD


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        (7, 7, 14),
        (3600, 3600, 3600 + SPREAD),
        (2 * PATIENCE, PATIENCE, PATIENCE + SPREAD),
    ],
)
async def test_it_comes_back_when_it_is_told_and_not_with_all_others(
    told: float, least: float, most: float
) -> None:
    waits = set()
    for _ in range(20):
        attempts = Attempts(Transient("x", retry_after=told))
        await attempts.passing()
        waits.update(attempts.waits)
    assert least <= min(waits)
    assert max(waits) <= most
    assert max(waits) - min(waits) > (most - least) / 4


async def test_a_time_that_is_over_is_no_reason_to_ask_and_ask() -> None:
    attempts = Attempts(*(Transient("x", retry_after=0) for _ in range(50)))
    await attempts.passing()
    assert max(attempts.waits) > 1


async def test_what_ends_something_comes_back_soon_whatever_it_is_told() -> None:
    attempts, errors = Attempts(), [Transient("x", retry_after=3600)] * 20
    async for attempt in until_done(attempts.sleep):
        with attempt:
            if errors:
                raise errors.pop()
    assert min(attempts.waits) >= limits.ENGINE_RETRY_MAX / 2
    assert max(attempts.waits) <= limits.ENGINE_RETRY_MAX


@pytest.mark.parametrize("error", [Permanent("no"), NotFound("no"), ZeroDivisionError()])
async def test_what_does_not_pass_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await Attempts(Transient("x"), error).passing()


async def test_doubts_are_counted_and_other_failures_are_not_doubts() -> None:
    doubts = [Ambiguous("x")] * (limits.DOUBTFUL_ATTEMPTS - 1)
    assert await Attempts(*doubts, *[Transient("y")] * 9).passing() == "done"
    with pytest.raises(Ambiguous):
        await Attempts(*doubts, Transient("y"), Ambiguous("x")).passing()


async def test_until_done_means_until_done() -> None:
    errors: list[ShimError] = [Permanent("a"), Ambiguous("b"), Transient("c"), NotFound("d")] * 5
    async for attempt in until_done(Attempts().sleep):
        with attempt:
            if errors:
                raise errors.pop()
    assert errors == []
