"""Custom executors after a restart of the agent."""

from __future__ import annotations

import pytest

from shim.core.executors import ExecutorPhase
from shim.model import facts, orders
from shim.model.container import Phase
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from tests.core.executor_harness import V0, ExecutorShim, container_of
from tests.core.harness import of, sent

Reason = TaskStatus.Reason


def test_a_v1_executor_that_comes_back_keeps_its_tasks() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    ref = shim.custom().ref
    given = shim.restart(container_of(ref, Phase.RUNNING)).orders
    assert of(orders.Watch, given) == [orders.Watch(ref)]
    assert not of(orders.LaunchExecutor, given)
    shim.register()
    shim.subscribe(stream=1)
    assert shim.events == ["SUBSCRIBED"]
    shim.wait(3600)
    assert shim.custom().phase is ExecutorPhase.RUNNING
    assert shim.task().wire.state == TaskState.TASK_RUNNING


def test_an_executor_that_showed_its_token_has_to_show_it_after_a_restart_as_well() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.executor_started()
    shim.subscribe(authenticated=True)
    shim.restart(container_of(shim.custom().ref, Phase.RUNNING))
    shim.subscribe(stream=2)
    assert shim.events == ["SHUTDOWN"]
    shim.subscribe(stream=3, tasks=("t",), authenticated=True)
    assert (shim.events, shim.custom().stream) == (["SUBSCRIBED"], 3)


def test_a_v0_executor_is_asked_to_register_again_until_it_does() -> None:
    shim = ExecutorShim()
    shim.running_v0()
    ref = shim.custom().ref
    given = shim.restart(container_of(ref, Phase.RUNNING)).orders
    (send,) = [o for o in of(orders.Send, given) if o.to == V0]
    assert isinstance(send.message, m.ReconnectExecutorMessage)
    assert len(sent(m.ReconnectExecutorMessage, shim.wait(2.5))) == 2
    shim.reregister_v0()
    assert sent(m.ExecutorReregisteredMessage, shim.decision.orders)
    shim.reregister_v0()
    assert not of(orders.Send, shim.decision.orders), "the answer to a repeated request"
    assert not sent(m.ReconnectExecutorMessage, shim.wait(60))


def test_an_executor_that_does_not_come_back_is_given_up() -> None:
    shim = ExecutorShim(executor_reregistration_timeout=2.0)
    shim.framework("F", "aware")
    shim.running_v0()
    ref = shim.custom().ref
    shim.restart(container_of(ref, Phase.RUNNING))
    assert of(orders.Stop, shim.wait(2.5))
    shim.register()
    shim.executor_exited(137)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_GONE
    assert status.reason == Reason.REASON_EXECUTOR_REREGISTRATION_TIMEOUT
    assert status.message == "Executor did not reregister within 2secs"


def test_a_task_delivered_before_the_crash_is_dropped_if_the_executor_never_got_it() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.executor_started()
    shim.register_v0()
    shim.restart(container_of(shim.custom().ref, Phase.RUNNING))
    shim.reregister_v0(tasks=("t",))
    assert shim.pending_states() == []
    shim.restart(container_of(shim.custom().ref, Phase.RUNNING))
    shim.reregister_v0()
    assert shim.pending_states() == ["TASK_LOST"]


def test_a_kill_while_the_executor_is_away_is_passed_on_when_it_is_back() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.restart(container_of(shim.custom().ref, Phase.RUNNING))
    shim.register()
    shim.kill()
    assert shim.events == []
    shim.subscribe(stream=1)
    assert shim.events == ["SUBSCRIBED", "KILL"]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_launch_is_repeated_only_if_its_create_was_not_allowed(allowed: bool) -> None:
    shim = ExecutorShim()
    shim.run_inside()
    ref = shim.custom().ref
    if allowed:
        shim.handle(facts.LaunchAdvanced(ref, facts.Stage.CREATING))
    given = shim.restart().orders
    if allowed:
        assert shim.pending_states() == ["TASK_LOST"]
        assert shim.last_status().message == "Task launched during agent restart"
    else:
        assert [order.ref for order in of(orders.LaunchExecutor, given)] == [ref]


def test_a_container_that_started_during_the_restart_is_adopted() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    ref = shim.custom().ref
    shim.handle(facts.LaunchAdvanced(ref, facts.Stage.CREATING))
    shim.restart(container_of(ref, Phase.RUNNING))
    shim.subscribe()
    assert shim.events == ["SUBSCRIBED", "LAUNCH"]


def test_an_executor_that_ended_during_the_restart_is_concluded() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.restart(container_of(shim.custom().ref, Phase.EXITED, 4))
    assert shim.last_status().message == "Executor terminated; Container exited with status 4"
    shim.register()
    shim.acknowledge_all()
    shim.running_v1("u")
    shim.restart()
    assert "removed by somebody else" in shim.last_status("u").message


def test_an_executor_under_shutdown_is_stopped_at_once_after_a_restart() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.shutdown_executor()
    ref = shim.custom().ref
    given = shim.restart(container_of(ref, Phase.RUNNING)).orders
    assert [order.ref for order in of(orders.Stop, given)] == [ref]


def test_re_registration_lists_live_executors_and_their_tasks() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.restart(container_of(shim.custom().ref, Phase.RUNNING))
    shim.detect()
    (request,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
    assert [e.executor_id.value for e in request.executor_infos] == ["E"]
    assert request.executor_infos[0].framework_id.value == "F"
    assert request.tasks[0].executor_id.value == "E"
    shim.answer_registration()
    shim.executor_exited(0)
    shim.restart()
    shim.detect()
    (request,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
    assert not request.executor_infos
    assert [task.state for task in request.tasks] == [TaskState.TASK_FAILED]
    assert len(request.frameworks) == 1


def test_a_framework_without_checkpoint_loses_its_executors() -> None:
    shim = ExecutorShim()
    shim.framework("F", checkpoint=False)
    shim.running_v1()
    ref = shim.custom().ref
    given = shim.restart(container_of(ref, Phase.RUNNING)).orders
    assert [order.ref for order in of(orders.Stop, given)] == [ref]
    assert not shim.disk.tasks
