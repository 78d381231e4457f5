"""Whose container a container is, from its labels and from its Ref."""

from __future__ import annotations

import pytest

from shim.model.container import Container, Phase, Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey

TASK = TaskKey(FrameworkId("F"), TaskId("same"))
EXECUTOR = ExecutorKey(FrameworkId("F"), ExecutorId("same"))
LABELS = {
    "org.apache.mesos.framework_id": "F",
    "org.apache.mesos.executor_id": "same",
    "org.apache.mesos.task_id": "same",
}


@pytest.mark.parametrize(
    ("missing", "task", "executor"),
    [
        (None, TASK, None),
        ("org.apache.mesos.task_id", None, EXECUTOR),
        ("org.apache.mesos.executor_id", TASK, None),
        ("org.apache.mesos.framework_id", None, None),
    ],
)
def test_a_container_without_a_task_label_is_its_executors_own(
    missing: str | None, task: TaskKey | None, executor: ExecutorKey | None
) -> None:
    labels = {name: value for name, value in LABELS.items() if name != missing}
    container = Container("mesos-c", "1", Phase.RUNNING, labels)
    assert (container.task_key, container.executor_key) == (task, executor)


def test_an_executor_never_equals_a_task_of_the_same_ids() -> None:
    container_id = ContainerId("c")
    assert Ref(TASK, container_id) != Ref(EXECUTOR, container_id)
    assert len({TASK, EXECUTOR}) == 2


def test_the_ref_of_an_executors_container_has_no_task_key() -> None:
    assert Ref(TASK, ContainerId("c")).task_key == TASK
    with pytest.raises(TypeError, match="F/executor same"):
        _ = Ref(EXECUTOR, ContainerId("c")).task_key
