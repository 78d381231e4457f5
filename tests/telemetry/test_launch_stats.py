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
LAUNCH = orders.Launch(REF, TaskInfo(), "S0")
STARTED = facts.ContainerStarted(REF, Container(REF.name, "id", Phase.RUNNING))


class Recorder:
    """Statistics, the durations they observed, and their clock."""

    def __init__(self) -> None:
        self.observed: list[tuple[str, float]] = []
        self.now = 100.0
        self.stats = LaunchStats(
            lambda stage, s: self.observed.append((stage, s)), lambda: self.now
        )

    def at(self, seconds: float, what: Fact | orders.Launch) -> None:
        self.now = 100.0 + seconds
        if isinstance(what, orders.Launch):
            self.stats.count_order(what)
        else:
            self.stats.count_fact(what)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_each_stage_of_a_launch_and_the_whole_are_measured(recorder: Recorder) -> None:
    recorder.at(0, LAUNCH)
    recorder.at(1, facts.LaunchAdvanced(REF, Stage.FETCHING))
    recorder.at(3, facts.LaunchAdvanced(REF, Stage.PULLING, "1 of 3"))
    recorder.at(4, facts.LaunchAdvanced(REF, Stage.PULLING, "2 of 3"))
    recorder.at(7, facts.LaunchAdvanced(REF, Stage.CREATING))
    recorder.at(12, STARTED)
    assert recorder.observed == [
        ("accepted", 1),
        ("fetching", 2),
        ("pulling", 4),
        ("creating", 5),
        ("total", 12),
    ]
    recorder.at(20, STARTED)
    assert len(recorder.observed) == 5


@pytest.mark.parametrize(
    ("end", "failed"),
    [(facts.LaunchFailed(REF, Failure.PULL, "no"), 1), (facts.LaunchCancelled(REF), 0)],
)
def test_a_failed_or_cancelled_launch_is_not_measured(
    recorder: Recorder, end: Fact, failed: int
) -> None:
    recorder.at(0, LAUNCH)
    recorder.at(1, end)
    recorder.at(2, STARTED)
    assert recorder.observed == []
    assert recorder.stats.launches_failed == failed


def test_an_adopted_container_is_not_measured(recorder: Recorder) -> None:
    recorder.at(1, STARTED)
    assert recorder.observed == []


def test_orders_are_counted(recorder: Recorder) -> None:
    peer = Pid("master", "10.0.0.1", 5050)
    for order in (
        LAUNCH,
        orders.Stop(REF, 1.0),
        orders.CancelLaunch(REF),
        orders.Send(peer, StatusUpdateMessage()),
        orders.Send(peer, PingSlaveMessage(connected=True)),
        orders.Remove(REF),
    ):
        recorder.stats.count_order(order)
    stats = recorder.stats
    assert (stats.launches, stats.kills, stats.updates) == (1, 2, 1)


def test_what_passes_is_counted_and_passed_on() -> None:
    stats = LaunchStats(lambda stage, s: None)
    dispatched: list[orders.Order] = []
    posted: list[Fact] = []
    failed = facts.LaunchFailed(REF, Failure.PULL, "no")
    stats.counted_dispatch(dispatched.append)(LAUNCH)
    stats.counted_post(posted.append)(failed)
    assert (dispatched, posted) == ([LAUNCH], [failed])
    assert (stats.launches, stats.launches_failed) == (1, 1)
