"""Terminal states of tasks."""

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
"""No state follows one of these. A task may come back from UNREACHABLE and UNKNOWN."""
