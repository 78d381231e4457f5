from __future__ import annotations

import pytest

from shim import limits
from shim.engine.client.retry import (
    FINAL_LOGS,
    LAUNCH,
    PULL,
    UNTIL_DONE,
    FailureCount,
    RetryPolicy,
    retry,
)
from shim.errors import AccessDenied, Ambiguous, InProgress, NotFound, Permanent, Transient


class Attempts:
    """Fails with each error in turn, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def call(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def run(self, policy: RetryPolicy = LAUNCH, failures: FailureCount | None = None) -> str:
        return await retry(policy, self.call, sleep=self.sleep, failures=failures)


async def test_pauses_grow_and_are_bounded() -> None:
    attempts = Attempts(*(Transient("x") for _ in range(50)))
    assert await attempts.run() == "done"
    assert len(attempts.waits) == 50
    low, high = limits.ENGINE_RETRY_MIN, limits.ENGINE_RETRY_MAX
    assert all(low <= wait <= high for wait in attempts.waits)
    assert max(attempts.waits[:3]) <= low * 4
    assert max(attempts.waits) > 1


PATIENCE, SPREAD = limits.MAINTENANCE_WAIT_MAX, limits.RETRY_SPREAD


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (7, 7, 14),
        (3600, 3600, 3600 + SPREAD),
        (2 * PATIENCE, PATIENCE, PATIENCE + SPREAD),
    ],
)
async def test_a_pause_lasts_as_long_as_asked_and_is_spread_over_some_time(
    asked: float, least: float, most: float
) -> None:
    waits = set()
    for _ in range(20):
        attempts = Attempts(Transient("x", retry_after=asked))
        await attempts.run()
        waits.update(attempts.waits)
    assert least <= min(waits)
    assert max(waits) <= most
    assert max(waits) - min(waits) > (most - least) / 4


async def test_pauses_grow_also_when_the_endpoint_asks_for_none() -> None:
    attempts = Attempts(*(Transient("x", retry_after=0) for _ in range(50)))
    await attempts.run()
    assert max(attempts.waits) > 1


@pytest.mark.parametrize("policy", [UNTIL_DONE, PULL])
async def test_a_removal_and_a_pull_wait_seconds_however_long_the_endpoint_asks(
    policy: RetryPolicy,
) -> None:
    attempts = Attempts(*[Transient("x", retry_after=3600)] * 20)
    await attempts.run(policy)
    assert min(attempts.waits) >= limits.ENGINE_RETRY_MAX / 2
    assert max(attempts.waits) <= limits.ENGINE_RETRY_MAX


@pytest.mark.parametrize("policy", [LAUNCH, PULL, FINAL_LOGS])
@pytest.mark.parametrize(
    "error", [Permanent("no"), NotFound("no"), InProgress(), ZeroDivisionError()]
)
async def test_any_other_error_is_raised(policy: RetryPolicy, error: Exception) -> None:
    with pytest.raises(type(error)):
        await Attempts(error).run(policy)
    with pytest.raises(type(error)):
        await Attempts(Transient("x"), error).run(policy)


async def test_ambiguous_errors_are_counted_and_other_errors_are_not() -> None:
    ambiguous = [Ambiguous("x")] * (limits.AMBIGUOUS_ATTEMPTS - 1)
    assert await Attempts(*ambiguous, *[Transient("y")] * 9).run() == "done"
    with pytest.raises(Ambiguous):
        await Attempts(*ambiguous, Transient("y"), Ambiguous("x")).run()


async def test_failures_are_counted_across_calls() -> None:
    failures = FailureCount()
    for _ in range(limits.AMBIGUOUS_ATTEMPTS - 1):
        assert await Attempts(Ambiguous("x")).run(LAUNCH, failures) == "done"
    with pytest.raises(Ambiguous):
        await Attempts(Ambiguous("x")).run(LAUNCH, failures)
    assert failures.total == failures.ambiguous == limits.AMBIGUOUS_ATTEMPTS


async def test_a_pull_is_not_repeated_while_access_is_denied() -> None:
    attempts = Attempts(Transient("x"), AccessDenied("Unauthorized"))
    with pytest.raises(AccessDenied):
        await attempts.run(PULL)
    assert len(attempts.waits) == 1
    assert await Attempts(AccessDenied("Unauthorized")).run(LAUNCH) == "done"


async def test_final_logs_are_read_a_few_times_within_a_second_or_so() -> None:
    attempts = Attempts(*[Transient("x", retry_after=60)] * limits.FINAL_LOGS_ATTEMPTS)
    with pytest.raises(Transient):
        await attempts.run(FINAL_LOGS)
    assert len(attempts.waits) == limits.FINAL_LOGS_ATTEMPTS - 1
    assert sum(attempts.waits) <= 1


async def test_a_removal_is_repeated_whatever_the_endpoint_answers() -> None:
    attempts = Attempts(
        *[Permanent("a"), Ambiguous("b"), Transient("c"), NotFound("d"), AccessDenied("e")] * 5
    )
    assert await attempts.run(UNTIL_DONE) == "done"
    assert attempts.errors == []
