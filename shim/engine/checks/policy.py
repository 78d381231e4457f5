"""Which probe results are reported, and when a task is killed. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """One health report to send."""

    healthy: bool
    kill: bool = False
    """The task has used up its consecutive failures."""


class HealthPolicy:
    """The rules of a stock agent for one health check.

    - Each failure is reported. A success is reported when it is the first one or follows a
      failure.
    - ``consecutive_failures`` failures in a row kill the task.
    - A failure within the grace period is ignored until the first success. The period begins with
      the checking and includes the delay.
    """

    def __init__(
        self, consecutive_failures: int, grace: float, now: float, *, grace_over: bool
    ) -> None:
        """``grace`` is in seconds. ``grace_over``: the task was healthy before a restart."""
        self._failure_limit = max(1, consecutive_failures)
        self._grace_until = now + grace if grace > 0 and not grace_over else None
        self._succeeded = False
        self._failures = 0

    def record(self, passed: bool, now: float) -> HealthVerdict | None:
        """Count the result of one probe at ``now``. Return the report to send, if any."""
        if passed:
            return self._record_success()
        if self._grace_until is not None and now <= self._grace_until:
            return None
        self._failures += 1
        return HealthVerdict(False, kill=self._failures >= self._failure_limit)

    def _record_success(self) -> HealthVerdict | None:
        changed = self._failures > 0 or not self._succeeded
        self._failures, self._succeeded, self._grace_until = 0, True, None
        return HealthVerdict(True) if changed else None


class ChangePolicy:
    """The rule of a stock agent for a check: a result is reported when it differs from the last."""

    def __init__(self, last: bytes) -> None:
        self._last = last

    def record(self, status: bytes) -> bytes | None:
        """Return the status to report, or None for one like the last."""
        if status == self._last:
            return None
        self._last = status
        return status
