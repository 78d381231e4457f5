from __future__ import annotations

import pytest

from shim.model import facts, orders
from shim.model.container import Container, Phase, Ref
from shim.model.facts import Fact, Failure, Stage
from shim.model.ids import ContainerId, FrameworkId, Pid, TaskId, TaskKey
from shim.protos.mesos_pb2 import TaskInfo
from shim.protos.messages_pb2 import PingSlaveMessage, StatusUpdateMessage
from shim.telemetry.launch_stats import LaunchStats

REF = Ref(TaskKey(FrameworkId("f"), TaskId("t")), ContainerId("c"))
LAUNCH = orders.Launch(REF, TaskInfo(), "S0", "t")
STARTED = facts.ContainerStarted(REF, Container(REF.name, "id", Phase.RUNNING))


class Watched:
    """A tally, what it observed, and its clock."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float]] = []
        self.now = 100.0
        self.tally = LaunchStats(lambda stage, s: self.seen.append((stage, s)), lambda: self.now)

    def at(self, seconds: float, what: Fact | orders.Launch) -> None:
        self.now = 100.0 + seconds
        if isinstance(what, orders.Launch):
            self.tally.order(what)
        else:
            self.tally.fact(what)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_each_stage_of_a_launch_and_all_of_it(watched: Watched) -> None:
    watched.at(0, LAUNCH)
    watched.at(1, facts.LaunchAdvanced(REF, Stage.FETCHING))
    watched.at(3, facts.LaunchAdvanced(REF, Stage.PULLING, "1 of 3"))
    watched.at(4, facts.LaunchAdvanced(REF, Stage.PULLING, "2 of 3"))
    watched.at(7, facts.LaunchAdvanced(REF, Stage.CREATING))
    watched.at(12, STARTED)
    assert watched.seen == [
        ("accepted", 1),
        ("fetching", 2),
        ("pulling", 4),
        ("creating", 5),
        ("total", 12),
    ]
    watched.at(20, STARTED)
    assert len(watched.seen) == 5


@pytest.mark.parametrize(
    ("end", "failed"),
    [(facts.LaunchFailed(REF, Failure.PULL, "no"), 1), (facts.LaunchCancelled(REF), 0)],
)
def test_a_launch_that_comes_to_nothing_is_not_measured(
    watched: Watched, end: Fact, failed: int
) -> None:
    watched.at(0, LAUNCH)
    watched.at(1, end)
    watched.at(2, STARTED)
    assert watched.seen == []
    assert watched.tally.launches_failed == failed


def test_a_container_taken_over_was_not_launched_by_us(watched: Watched) -> None:
    watched.at(1, STARTED)
    assert watched.seen == []


def test_orders_are_counted(watched: Watched) -> None:
    peer = Pid("master", "10.0.0.1", 5050)
    for order in (
        LAUNCH,
        orders.Stop(REF, 1.0),
        orders.CancelLaunch(REF),
        orders.Send(peer, StatusUpdateMessage()),
        orders.Send(peer, PingSlaveMessage(connected=True)),
        orders.Remove(REF),
    ):
        watched.tally.order(order)
    tally = watched.tally
    assert (tally.launches, tally.kills, tally.updates) == (1, 2, 1)
