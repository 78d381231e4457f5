"""Counts of launches, kills and status updates, and how long each stage of a launch takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from shim.model import facts, orders
from shim.model.container import Ref
from shim.model.facts import Fact
from shim.model.orders import Order
from shim.protos.messages_pb2 import StatusUpdateMessage

ACCEPTED, TOTAL = "accepted", "total"
"""Beside the stages of a launch: the time before the first stage, and the whole launch."""


@dataclass(slots=True)
class _LaunchTimes:
    """When a launch under way began, its stage now, and when that stage began (monotonic)."""

    began: float
    stage: str
    stage_began: float


class LaunchStats:
    """Reads orders and facts as they pass between the core and the containerizer.

    ``observe(stage, seconds)`` is called at the end of each stage of a launch. A launch that fails
    or is cancelled is counted; its stage under way is not observed.
    """

    def __init__(
        self, observe: Callable[[str, float], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._launches: dict[Ref, _LaunchTimes] = {}
        self.launches = self.launches_failed = self.kills = self.updates = 0
        """Since the start of the process. ``updates`` includes repeated status updates."""

    def counted_dispatch(self, dispatch: Callable[[Order], None]) -> Callable[[Order], None]:
        """``dispatch`` with each order counted before the call."""

        def count_and_dispatch(order: Order) -> None:
            self.count_order(order)
            dispatch(order)

        return count_and_dispatch

    def counted_post(self, post: Callable[[Fact], None]) -> Callable[[Fact], None]:
        """``post`` with each fact counted before the call."""

        def count_and_post(fact: Fact) -> None:
            self.count_fact(fact)
            post(fact)

        return count_and_post

    def count_order(self, order: Order) -> None:
        match order:
            case orders.Launch(ref=ref):
                self.launches += 1
                now = self._clock()
                self._launches[ref] = _LaunchTimes(now, ACCEPTED, now)
            case orders.CancelLaunch() | orders.Stop():
                self.kills += 1
            case orders.Send(message=StatusUpdateMessage()):
                self.updates += 1

    def count_fact(self, fact: Fact) -> None:
        match fact:
            case facts.LaunchAdvanced(ref=ref, stage=stage):
                self._advance(ref, stage.name.lower())
            case facts.ContainerStarted(ref=ref):
                self._advance(ref, "")
                if launch := self._launches.pop(ref, None):
                    self._observe(TOTAL, self._clock() - launch.began)
            case facts.LaunchFailed(ref=ref):
                self.launches_failed += 1
                self._launches.pop(ref, None)
            case facts.LaunchCancelled(ref=ref):
                self._launches.pop(ref, None)

    def _advance(self, ref: Ref, stage: str) -> None:
        launch = self._launches.get(ref)
        if launch is not None and launch.stage != stage:
            now = self._clock()
            self._observe(launch.stage, now - launch.stage_began)
            launch.stage, launch.stage_began = stage, now
