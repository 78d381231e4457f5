"""Which results are worth an update, and when a task is to be killed. Pure; time is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    healthy: bool
    kill: bool = False


class Health:
    """The rules of a health check.

    Every counted failure is told; a success only when it is the first, or comes after failures.
    Failures within the grace period (which runs from the start of the checking, the delay
    included) are not counted, until the first success.
    """

    def __init__(
        self, consecutive_failures: int, grace: float, now: float, *, grace_over: bool
    ) -> None:
        self._limit = max(1, consecutive_failures)
        self._grace_until = now + grace if grace > 0 and not grace_over else None
        self._succeeded = False
        self._failures = 0

    def result(self, passed: bool, now: float) -> Verdict | None:
        """The result of one probe, at ``now``; None when there is nothing to tell."""
        if passed:
            return self._success()
        if self._grace_until is not None and now <= self._grace_until:
            return None
        self._failures += 1
        return Verdict(False, kill=self._failures >= self._limit)

    def _success(self) -> Verdict | None:
        news = self._failures > 0 or not self._succeeded
        self._failures, self._succeeded, self._grace_until = 0, True, None
        return Verdict(True) if news else None


class Changes:
    """The rule of a check: a result is told when it differs from the one before."""

    def __init__(self, last: bytes) -> None:
        self._last = last

    def result(self, status: bytes) -> bytes | None:
        if status == self._last:
            return None
        self._last = status
        return status
