"""States of tasks."""

from __future__ import annotations

from shim.protos.mesos_pb2 import TaskState

TERMINAL = frozenset(
    {
        TaskState.TASK_FINISHED,
        TaskState.TASK_FAILED,
        TaskState.TASK_KILLED,
        TaskState.TASK_ERROR,
        TaskState.TASK_LOST,
        TaskState.TASK_DROPPED,
        TaskState.TASK_GONE,
        TaskState.TASK_GONE_BY_OPERATOR,
    }
)
"""Those that nothing follows; of UNREACHABLE and UNKNOWN a task may come back."""
