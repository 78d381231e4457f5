"""Counting what passes through the loop: launches by stage, kills, failures, updates."""

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
"""Beside the stages of a launch: before the first of them, and all of it."""


@dataclass(slots=True)
class _Launch:
    began: float
    stage: str
    since: float


class LaunchStats:
    """``observe(stage, seconds)`` is told how long each stage of a launch took."""

    def __init__(
        self, observe: Callable[[str, float], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._launches: dict[Ref, _Launch] = {}
        self.launches = self.launches_failed = self.kills = self.updates = 0

    def order(self, order: Order) -> None:
        """An order that is about to be carried out."""
        match order:
            case orders.Launch(ref=ref):
                self.launches += 1
                now = self._clock()
                self._launches[ref] = _Launch(now, ACCEPTED, now)
            case orders.CancelLaunch() | orders.Stop():
                self.kills += 1
            case orders.Send(message=StatusUpdateMessage()):
                self.updates += 1

    def fact(self, fact: Fact) -> None:
        """A fact that is about to be handled."""
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
            self._observe(launch.stage, now - launch.since)
            launch.stage, launch.since = stage, now
