from __future__ import annotations

import pytest

from shim import limits
from shim.engine.retry import until_done, while_passing
from shim.errors import Doubtful, NotFound, Permanent, ShimError, Transient


class Attempts:
    """Fails with each error in turn, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def passing(self) -> str:
        async for attempt in while_passing(self.sleep):
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


@pytest.mark.parametrize(
    ("told", "waited"), [(7, 7), (0, limits.ENGINE_RETRY_MIN), (86_400, limits.ENGINE_RETRY_MAX)]
)
async def test_it_waits_as_it_is_told_within_reason(told: float, waited: float) -> None:
    attempts = Attempts(Transient("x", retry_after=told))
    await attempts.passing()
    assert attempts.waits == [waited]


@pytest.mark.parametrize("error", [Permanent("no"), NotFound("no"), ZeroDivisionError()])
async def test_what_does_not_pass_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await Attempts(Transient("x"), error).passing()


async def test_doubts_are_counted_and_other_failures_are_not_doubts() -> None:
    doubts = [Doubtful("x")] * (limits.DOUBTFUL_ATTEMPTS - 1)
    assert await Attempts(*doubts, *[Transient("y")] * 9).passing() == "done"
    with pytest.raises(Doubtful):
        await Attempts(*doubts, Transient("y"), Doubtful("x")).passing()


async def test_until_done_means_until_done() -> None:
    errors: list[ShimError] = [Permanent("a"), Doubtful("b"), Transient("c"), NotFound("d")] * 5
    async for attempt in until_done(Attempts().sleep):
        with attempt:
            if errors:
                raise errors.pop()
    assert errors == []
