"""Admission of launches: when each begins, and how many make engine calls at once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from shim import limits
from shim.engine.client.pacing import Pacer
from shim.engine.containers.priority_semaphore import PrioritySemaphore


class QueuedLaunch(Protocol):
    def begin(self) -> None:
        """Start the launch in a new asyncio task."""


class LaunchQueue:
    """Admission of launches, from the order to the first call that makes a container.

    ::

        Launch --> queued ----------> begun -----------> waiting -------> holds a slot --> over
                     |     a batch      |    fetch,     for a slot           |
                     |  per interval    |    pull           |                | max_inflight
                     |                  |                   |                | at most
             an entry here; none        +---- LAUNCHES_WAITING at most ------+
             begins during a burst            wait for a slot

    * A queued launch is an entry in a dictionary; a begun one has an asyncio task and takes 8 kB
      more. So a launch is begun only while fewer than LAUNCHES_WAITING wait for a slot.
    * LAUNCH_BATCH launches are begun each LAUNCH_BATCH_INTERVAL: a ping may wait behind thousands.
    * While more than LAUNCH_BURST arrive in an interval, none is begun: taking a burst comes
      first. Launches begin again after LAUNCH_BURST_INTERVALS such intervals.
    * Removals take their slots from the same semaphore, ahead of launches.
    """

    def __init__(self, max_inflight: int) -> None:
        self._pacer = Pacer(self._begin_batch, limits.LAUNCH_BATCH_INTERVAL)
        self.slots = PrioritySemaphore(max_inflight, self._pacer.wake)
        self._queued: OrderedDict[str, QueuedLaunch] = OrderedDict()
        self._length_before = 0
        """The length of the queue at the last batch."""
        self._intervals_held = 0
        """Intervals in a row in which a burst held back all launches."""

    @property
    def waiting(self) -> int:
        """Launches that are queued, and calls that wait for a slot."""
        return len(self._queued) + self.slots.waiting

    def add(self, name: str, launch: QueuedLaunch) -> None:
        """Queue a launch. ``launch.begin`` is called when the launch is admitted."""
        self._queued[name] = launch
        self._pacer.wake()

    def discard(self, name: str) -> None:
        """Take a launch out of the queue: its caller begins it."""
        self._queued.pop(name, None)

    def close(self) -> None:
        self._pacer.stop()
        self._queued.clear()

    def _begin_batch(self) -> bool:
        """Whether there was anything to do."""
        if self._is_burst():
            return True
        for number in range(limits.LAUNCH_BATCH):
            if not self._queued or self.slots.waiting >= limits.LAUNCHES_WAITING:
                return number > 0
            _, launch = self._queued.popitem(last=False)
            launch.begin()
        return True

    def _is_burst(self) -> bool:
        """Whether the launches that arrived in this interval are a burst: none begins then."""
        grown = len(self._queued) - self._length_before
        self._length_before = len(self._queued)
        if not self._queued:
            self._intervals_held = 0
        if grown < limits.LAUNCH_BURST or self._intervals_held >= limits.LAUNCH_BURST_INTERVALS:
            return False
        self._intervals_held += 1
        return True
