"""``/health``: whether the agent can look after its tasks.

A stock agent answers 200 whenever its process runs. The shim answers 503 with the reason when the
Docker endpoint has been silent or the journal cannot be written. A lost master is no reason: tasks
go on, and a restart of the agent would not help.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from shim import limits


@dataclass(frozen=True, slots=True)
class Liveness:
    """The running agent's contact with its endpoint and its disk at one moment."""

    relist_age: float = 0.0
    """Seconds since the endpoint last answered a list."""
    endpoint_error: str = ""
    """Why the last list failed; empty when it succeeded."""
    disk_failing: bool = False
    journal_problem: str = ""
    """Of a journal in ZooKeeper: why nothing is sent."""

    @property
    def journal_error(self) -> str:
        """Why the journal takes no records, in one line; empty when it does."""
        if self.journal_problem:
            return f"the journal in ZooKeeper takes no records: {self.journal_problem}"
        if self.disk_failing:
            return "the journal takes no records: is the disk of --work_dir full?"
        return ""

    def problems(self) -> list[str]:
        """One line for each reason to answer 503; empty when the agent is healthy."""
        found = []
        if self.relist_age > limits.HEALTH_RELIST_AGE:
            late = f"the Docker endpoint has given no list for {self.relist_age:.0f} s"
            found.append(_with_reason(late, self.endpoint_error))
        if self.journal_error:
            found.append(self.journal_error)
        return found


class EndpointWait:
    """How long a starting agent has waited for the first answer of its endpoint, and why."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._reason = ""

    def failed(self, reason: str) -> None:
        """The endpoint was asked again and did not answer."""
        self._reason = reason

    def problems(self) -> list[str]:
        """As :meth:`Liveness.problems`: empty while the wait is short."""
        age = self._clock() - self._began
        if age <= limits.HEALTH_RELIST_AGE:
            return []
        late = f"the kind of the Docker endpoint has been unknown for {age:.0f} s"
        return [_with_reason(late, self._reason)]


def _with_reason(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text
