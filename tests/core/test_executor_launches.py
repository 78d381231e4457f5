"""Launches for custom executors that are refused: with which reason, and what the master gets."""

from __future__ import annotations

import pytest

from shim.core.executors import ExecutorPhase
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from tests.core.executor_harness import ExecutorShim, executor_info, inner_task, update_of

Reason = TaskStatus.Reason


def test_on_triton_a_task_that_needs_more_is_refused_by_name() -> None:
    shim = ExecutorShim(fixed_size=True)
    shim.running_v1()
    shim.run_inside("u", launch=False)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_FAILED
    assert "ExecutorInfo.resources" in status.message
    assert "cpus:1.1;mem:32" in status.message
    assert shim.exits == []
    shim.report(update_of("t", TaskState.TASK_FINISHED, 2))
    shim.run_inside("v", launch=False)
    assert shim.events == ["LAUNCH"]


def test_an_executor_without_an_image_is_refused_in_words_that_say_why() -> None:
    shim = ExecutorShim()
    info = executor_info()
    info.ClearField("container")
    task = inner_task(executor=info)
    task.container.docker.image = "image"
    shim.run_inside(task, launch=True)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_FAILED
    assert "no container image" in status.message
    assert "TaskInfo.container is not the executor's" in status.message
    assert shim.exits == [-1]
    assert not shim.has_executor


@pytest.mark.parametrize("launch", [None, False])
def test_an_executor_info_that_differs_is_refused(launch: bool | None) -> None:
    shim = ExecutorShim()
    shim.running_v1()
    info = executor_info()
    info.command.value = "./other"
    shim.run_inside(inner_task("u", info), launch=launch)
    (status,) = shim.statuses
    assert "differs from the one that runs" in status.message
    assert shim.exits == []
    assert shim.custom().phase is ExecutorPhase.RUNNING


def test_an_executor_of_another_framework_is_refused() -> None:
    shim = ExecutorShim()
    shim.run_inside(inner_task("u", executor_info(framework="G")), launch=True)
    (status,) = shim.statuses
    assert "framework_id is 'G', not 'F'" in status.message


def test_launching_an_executor_that_exists_ends_it() -> None:
    shim = ExecutorShim()
    shim.framework("F", "aware")
    shim.running_v1()
    shim.run_inside("u", launch=True)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_DROPPED
    assert status.reason == Reason.REASON_EXECUTOR_TERMINATED
    assert status.message == "Master wants to launch executor, but one already exists"
    assert shim.events == ["SHUTDOWN"]
    assert shim.exits == []
    shim.executor_exited()
    assert shim.exits == [0]


def test_a_task_for_an_executor_that_is_not_there_or_ends_is_dropped() -> None:
    shim = ExecutorShim()
    shim.run_inside("u", launch=False)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_LOST
    assert status.message == "No executor is expected to launch and there is none running"
    assert shim.exits == []
    shim.running_v1()
    shim.shutdown_executor()
    shim.run_inside("v", launch=False)
    (status,) = shim.statuses
    assert status.message == "Executor terminating"


def test_during_a_drain_nothing_is_launched_and_the_master_is_told() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.drain()
    assert shim.events == ["KILL"]
    other = inner_task("u", executor_info("other"))
    shim.run_inside(other, launch=True)
    (status,) = shim.statuses
    assert status.reason == Reason.REASON_SLAVE_DRAINING
    assert shim.exits == [-1]
    shim.report(update_of("t", TaskState.TASK_KILLED, 2))
    assert shim.statuses[0].reason == Reason.REASON_SLAVE_DRAINING
    assert shim.events == ["SHUTDOWN", "ACKNOWLEDGED"], "an unused executor holds no drain up"
