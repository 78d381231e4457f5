"""``/health``: whether the agent can do its work.

A stock agent says 200 whenever its process answers. We say 503 and why when tasks would no longer
be looked after: the Docker endpoint has been silent, or the journal takes no records. Not when the
master is away: tasks go on, and whoever restarts us for that only makes it worse.
"""

from __future__ import annotations

from shim import limits
from shim.http.view import Liveness


def troubles(pulse: Liveness) -> list[str]:
    """What keeps the agent from its work, for people; empty when it is well."""
    found = []
    if pulse.relist_age > limits.HEALTH_RELIST_AGE:
        late = f"the Docker endpoint has given no list for {pulse.relist_age:.0f} s"
        found.append(_because(late, pulse.endpoint_trouble))
    if pulse.disk_failing:
        found.append("the journal takes no records: is the disk of --work_dir full?")
    return found


def troubles_at_start(age: float, trouble: str) -> list[str]:
    """``age``: seconds that the agent has been waiting for its endpoint; ``trouble``: why."""
    if age <= limits.HEALTH_RELIST_AGE:
        return []
    return [_because(f"the Docker endpoint has not said what it is for {age:.0f} s", trouble)]


def _because(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what
