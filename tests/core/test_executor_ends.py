"""Reports about the tasks of an executor that ended."""

from __future__ import annotations

import pytest

from shim.core.executor_ends import duration_text
from shim.protos.mesos_pb2 import TaskStatus
from tests.core.executor_harness import ExecutorShim

Reason = TaskStatus.Reason


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "1mins"), (90, "1.5mins"), (2, "2secs"), (0.5, "500ms"), (7200, "2hrs"), (0, "0ms")],
)
def test_durations_are_written_as_by_mesos(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_the_memory_limit_is_named() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.executor_exited(137, oom_killed=True)
    (status,) = shim.statuses
    assert status.reason == Reason.REASON_CONTAINER_LIMITATION_MEMORY
    assert "cpus:1.1;mem:32" in status.message
