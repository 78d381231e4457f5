"""Custom executors from launch to exit: what they, the master and the engine are sent."""

from __future__ import annotations

from shim.core.executors import ExecutorPhase
from shim.model import facts, orders
from shim.model.container import Phase
from shim.model.ids import ExecutorKey
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from tests.core.executor_harness import (
    ExecutorShim,
    container_of,
    executor_info,
    inner_task,
    update_of,
)
from tests.core.harness import key_of, of

Reason = TaskStatus.Reason


def test_a_launch_orders_the_container_with_the_resources_of_executor_and_task() -> None:
    shim = ExecutorShim()
    shim.run_inside(inner_task(mem=64))
    order = shim.last(orders.LaunchExecutor)
    assert isinstance(order.ref.key, ExecutorKey)
    assert order.executor == executor_info()
    assert sum(r.scalar.value for r in order.resources if r.name == "mem") == 96
    assert key_of() in shim.disk.tasks
    assert list(shim.disk.executors) == [order.ref.container_id]


def test_the_create_is_allowed_once_it_is_durable_that_the_container_may_exist() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    ref = shim.custom().ref
    decision = shim.handle(facts.LaunchAdvanced(ref, facts.Stage.CREATING))
    assert of(orders.AllowCreate, decision.orders) == [orders.AllowCreate(ref)]
    assert decision.records


def test_an_executor_whose_tasks_were_killed_meanwhile_is_not_launched_to_the_end() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.kill()
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_KILLED
    assert status.reason == Reason.REASON_TASK_KILLED_DURING_LAUNCH
    assert status.message == "Killed before delivery to the executor"
    ref = shim.custom().ref
    assert of(orders.CancelLaunch, shim.decision.orders) == [orders.CancelLaunch(ref)]
    shim.handle(facts.LaunchCancelled(ref))
    assert shim.exits == [-1]
    shim.acknowledge_all()
    assert not shim.has_executor
    assert not shim.core.frameworks.table


def test_a_launch_that_starts_after_its_cancellation_is_stopped() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.kill()
    ref = shim.custom().ref
    shim.handle(facts.ContainerStarted(ref, container_of(ref, Phase.RUNNING)))
    assert [order.ref for order in of(orders.Stop, shim.decision.orders)] == [ref]


def test_a_failed_launch_ends_the_tasks() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    ref = shim.custom().ref
    shim.handle(facts.LaunchFailed(ref, facts.Failure.PULL, "no such image"))
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_FAILED
    assert status.reason == Reason.REASON_CONTAINER_LAUNCH_FAILED
    assert status.message == "Failed to launch container: no such image"
    assert status.source == TaskStatus.SOURCE_SLAVE
    assert status.executor_id.value == "E"
    assert shim.exits == [-1]
    assert [order.ref for order in of(orders.Remove, shim.decision.orders)] == [ref]


def test_an_executor_that_dies_between_launch_and_running_fails_its_task() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.executor_started()
    shim.subscribe()
    assert shim.events == ["SUBSCRIBED", "LAUNCH"]
    shim.executor_exited(137)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_FAILED
    assert status.reason == Reason.REASON_EXECUTOR_TERMINATED
    assert status.message.startswith("Executor terminated")
    assert shim.exits == [9]


def test_an_exit_ends_the_tasks_and_is_told_to_the_master() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.run_inside("queued", launch=False)
    ref = shim.custom().ref
    shim.executor_exited(3)
    assert [s.task_id.value for s in shim.statuses] == ["t", "queued"]
    for status in shim.statuses:
        assert status.state == TaskState.TASK_FAILED
        assert status.reason == Reason.REASON_EXECUTOR_TERMINATED
        assert status.message == "Executor terminated; Container exited with status 3"
        assert status.source == TaskStatus.SOURCE_SLAVE
    assert shim.exits == [3 << 8]
    assert of(orders.EndStream, shim.decision.orders) == [orders.EndStream(1)]
    assert [order.ref for order in of(orders.Remove, shim.decision.orders)] == [ref]
    assert shim.custom().phase is ExecutorPhase.TERMINATED
    shim.acknowledge_all("t")
    assert shim.has_executor, "until the last update is acknowledged"
    shim.acknowledge_all("queued")
    assert not shim.has_executor
    assert not shim.disk.executors
    assert not shim.core.frameworks.table


def test_an_executor_without_tasks_that_exits_is_forgotten_at_once() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.report(update_of("t", TaskState.TASK_FINISHED, 2))
    shim.acknowledge_all()
    assert shim.has_executor
    assert "F" in shim.core.frameworks.table
    shim.executor_exited(0)
    assert shim.exits == [0]
    assert not shim.disk.executors
    assert not shim.disk.frameworks


def test_a_shutdown_is_passed_on_and_enforced_after_the_grace_period() -> None:
    shim = ExecutorShim(shutdown_grace=5.0)
    shim.running_v1()
    shim.shutdown_executor()
    assert shim.events == ["SHUTDOWN"]
    assert not of(orders.Stop, shim.decision.orders)
    assert not of(orders.Stop, shim.wait(4.9))
    assert of(orders.Stop, shim.wait(0.2)), "it ignores the shutdown"
    shim.subscribe(stream=2)
    assert shim.events == ["SHUTDOWN"]
    assert of(orders.EndStream, shim.decision.orders) == [orders.EndStream(2)]
    shim.executor_exited(137)
    assert shim.statuses[0].state == TaskState.TASK_FAILED


def test_an_executor_may_have_its_own_grace_period() -> None:
    shim = ExecutorShim()
    info = executor_info()
    info.shutdown_grace_period.nanoseconds = 60_000_000_000
    shim.run_inside(inner_task(executor=info))
    shim.executor_started()
    shim.subscribe()
    shim.shutdown_executor()
    assert not of(orders.Stop, shim.wait(59))
    assert of(orders.Stop, shim.wait(2))


def test_a_removed_framework_takes_its_executors_along_without_updates() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.run_inside("queued", launch=False)
    shim.shutdown_framework()
    assert shim.statuses == []
    assert shim.events == ["SHUTDOWN"]
    assert not shim.disk.tasks
    shim.executor_exited(0)
    assert shim.statuses == []
    assert not shim.has_executor
    assert not shim.disk.frameworks


def test_the_end_of_the_agent_ends_executors() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.report(update_of("t", TaskState.TASK_FINISHED, 2))
    shim.acknowledge_all()
    ref = shim.custom().ref
    shim.handle(facts.LeaveRequested())
    assert shim.events == ["SHUTDOWN"]
    shim.executor_exited(0)
    shim.removed(ref)
    assert of(orders.Exit, shim.decision.orders)


def test_facts_of_an_earlier_container_are_ignored() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    old = shim.custom().ref
    shim.executor_exited(0)
    shim.acknowledge_all()
    shim.run_inside("again")
    shim.handle(facts.ContainerExited(old, 1))
    assert shim.custom().phase is ExecutorPhase.REGISTERING
    assert shim.core.ctx.counters["late_facts"] == 1
