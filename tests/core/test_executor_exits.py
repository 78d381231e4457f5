"""The exit of an executor reaches the master, whatever is lost on the way."""

from __future__ import annotations

import pytest

from shim import limits
from shim.core.context import Decision, PodNetwork
from shim.model import facts
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, Pid
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState
from tests.core.executor_harness import ExecutorShim
from tests.core.harness import MASTER, sent, statuses


def exits(decision: Decision) -> list[str]:
    found = sent(m.ExitedExecutorMessage, decision.orders)
    return [message.executor_id.value for message in found]


def exited() -> ExecutorShim:
    """Of an executor whose end was told."""
    shim = ExecutorShim()
    shim.running_v1()
    assert exits(shim.executor_exited(1)) == ["E"]
    shim.acknowledge_all()
    return shim


def test_an_exit_while_a_request_is_under_way_is_told_after_its_answer() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.handle(facts.MasterDetected(Pid("master", "10.0.0.77", 5050)))
    shim.handle(facts.MasterDetected(MASTER))
    (request,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
    assert [info.executor_id.value for info in request.executor_infos] == ["E"]
    assert exits(shim.executor_exited(1)) == []
    answer = m.SlaveReregisteredMessage()
    answer.slave_id.value = "S1"
    assert exits(shim.receive(answer)) == ["E"]


def test_an_exit_is_told_again_after_the_link_to_the_master_broke() -> None:
    shim = exited()
    shim.handle(facts.LinkBroke(MASTER.address))
    given = shim.wait(limits.EXIT_RETRY)
    assert len(sent(m.ExitedExecutorMessage, given)) == 1
    assert not sent(m.ExitedExecutorMessage, shim.wait(10 * limits.EXIT_RETRY))


def test_the_link_to_anybody_else_does_not_matter() -> None:
    shim = exited()
    shim.handle(facts.LinkBroke(("10.6.6.6", 5050)))
    assert not sent(m.ExitedExecutorMessage, shim.wait(10 * limits.EXIT_RETRY))


def test_a_request_that_was_sent_after_the_exit_says_it_as_well() -> None:
    shim = exited()
    shim.handle(facts.MasterDetected(None))
    shim.handle(facts.MasterDetected(MASTER))
    shim.wait(1.0)
    answer = m.SlaveReregisteredMessage()
    answer.slave_id.value = "S1"
    assert exits(shim.receive(answer)) == []


def test_an_exit_is_not_taken_for_that_of_the_next_executor_of_the_same_id() -> None:
    shim = exited()
    shim.run_inside("u", launch=True)
    shim.handle(facts.LinkBroke(MASTER.address))
    assert not sent(m.ExitedExecutorMessage, shim.wait(limits.EXIT_RETRY))


def test_a_rejected_launch_does_not_free_a_living_default_executor_of_the_same_id() -> None:
    shim = ExecutorShim(pod_network=PodNetwork.SHARED)
    shim.running_group("a", executor="E")
    given = shim.run_inside("t", launch=True)
    assert [status.state for status in statuses(given.orders)] == [TaskState.TASK_FAILED]
    assert exits(given) == []
    shim.handle(facts.LinkBroke(MASTER.address))
    assert not sent(m.ExitedExecutorMessage, shim.wait(limits.EXIT_RETRY))


def test_a_rejected_group_does_not_free_a_living_custom_executor_of_the_same_id() -> None:
    shim = ExecutorShim(pod_network=PodNetwork.SHARED)
    shim.running_v1()
    assert exits(shim.run_group("a", executor="E")) == []
    assert exits(shim.executor_exited(1)) == ["E"]


def test_only_so_many_exits_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXECUTOR_EXITS", 2)
    shim = ExecutorShim()
    for name in ("a", "b", "c"):
        shim.core.executors.send_exited(ExecutorKey(FrameworkId("F"), ExecutorId(name)))
    shim.handle(facts.LinkBroke(MASTER.address))
    given = sent(m.ExitedExecutorMessage, shim.wait(limits.EXIT_RETRY))
    assert [message.executor_id.value for message in given] == ["b", "c"]
