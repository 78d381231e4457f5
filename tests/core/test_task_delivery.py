"""Tasks on their way to a custom executor: handed over once, when its container has their size."""

from __future__ import annotations

from shim.core.executors import ExecutorPhase
from shim.model import orders
from shim.model.records import SaveTask
from shim.protos import messages_pb2 as m
from shim.protos.executor_pb2 import Event
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from tests.core.executor_harness import V0, ExecutorShim, update_of
from tests.core.harness import of, statuses

Reason = TaskStatus.Reason


def test_tasks_are_handed_over_after_the_registration_in_order() -> None:
    shim = ExecutorShim()
    for name in ("a", "b"):
        shim.run_inside(name)
    shim.executor_started()
    assert shim.events == []
    shim.subscribe()
    # The container was made for the first task only.
    assert shim.events == ["SUBSCRIBED"]
    grown = shim.last(orders.UpdateContainer)
    assert [(r.name, r.scalar.value) for r in grown.resources] == [("cpus", 2.1), ("mem", 32.0)]
    shim.resized()
    assert shim.events == ["LAUNCH", "LAUNCH"]
    events = of(orders.SendExecutorEvent, shim.decision.orders)
    assert [e.event.launch.task.task_id.value for e in events] == ["a", "b"]
    assert len([r for r in shim.decision.records if isinstance(r, SaveTask)]) == 2


def test_a_v0_executor_gets_messages() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.executor_started()
    shim.register_v0()
    registered, run = [o.message for o in of(orders.Send, shim.decision.orders)]
    assert isinstance(registered, m.ExecutorRegisteredMessage)
    assert registered.slave_info.id.value == "S1"
    assert isinstance(run, m.RunTaskMessage)
    assert run.task.task_id.value == "t"
    assert {order.to for order in of(orders.Send, shim.decision.orders)} == {V0}


def test_a_further_task_of_a_running_executor_is_handed_over_at_once() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.report(update_of("t", TaskState.TASK_FINISHED, 2))
    shim.run_inside("u", launch=False)
    assert shim.events == ["LAUNCH"], "the room of the first task is free"


def test_a_container_that_cannot_grow_ends_the_executor() -> None:
    shim = ExecutorShim()
    shim.framework("F", "aware")
    shim.running_v1()
    shim.run_inside("u", launch=False)
    assert shim.events == []
    shim.resized("no such container")
    assert of(orders.Stop, shim.decision.orders)
    shim.executor_exited(137)
    for status in statuses(shim.decision.orders):
        assert status.state == TaskState.TASK_GONE
        assert status.reason == Reason.REASON_CONTAINER_UPDATE_FAILED
        assert status.message == "Failed to update resources for container: no such container"
        assert status.source == TaskStatus.SOURCE_SLAVE


def test_a_group_is_handed_over_whole_and_only_over_v1() -> None:
    shim = ExecutorShim()
    shim.run_group_inside("a", "b")
    shim.executor_started()
    shim.subscribe()
    assert shim.events == ["SUBSCRIBED", "LAUNCH_GROUP"]
    other = ExecutorShim()
    other.run_group_inside("a", "b")
    other.executor_started()
    other.register_v0()
    assert [s.reason for s in other.statuses] == [Reason.REASON_TASK_GROUP_INVALID] * 2


def test_a_kill_of_a_queued_task_ends_its_group() -> None:
    shim = ExecutorShim()
    shim.run_inside("single")
    shim.run_group_inside("a", "b", launch=False)
    shim.kill("a")
    text = "A task within the task group was killed before delivery to the executor"
    assert [(s.task_id.value, s.message) for s in shim.statuses] == [("a", text), ("b", text)]
    shim.executor_started()
    shim.subscribe()
    assert shim.events == ["SUBSCRIBED", "LAUNCH"]


def test_a_kill_of_a_delivered_task_is_passed_on_with_its_policy() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.kill(grace=3.0)
    (order,) = of(orders.SendExecutorEvent, shim.decision.orders)
    assert order.event.type == Event.KILL
    assert order.event.kill.kill_policy.grace_period.nanoseconds == 3_000_000_000
    assert shim.statuses == [], "the executor answers"
    shim.kill()
    assert shim.events == ["KILL"], "a repeated kill is passed on again"
    shim.report(update_of("t", TaskState.TASK_KILLED, 2))
    assert shim.pending_states() == ["TASK_KILLED"]
    assert shim.custom().phase is ExecutorPhase.RUNNING
