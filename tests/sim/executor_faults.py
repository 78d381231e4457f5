"""What the plan does to custom executors: they exit, lose their agent, and have impostors.

Faults that an executor has by itself are in :class:`~tests.sim.plan.ExecutorTraits`.
"""

from __future__ import annotations

from shim.model import facts
from shim.model.ids import ExecutorKey
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState
from tests.sim.executors import IMPOSTOR, ExecutorProcesses


class ExecutorFaults:
    def __init__(self, executors: ExecutorProcesses) -> None:
        self._executors = executors
        self._world = executors.world

    def exit(self, key: ExecutorKey) -> None:
        for executor in self._executors.of(key):
            executor.exit(1)

    def break_link(self, key: ExecutorKey) -> None:
        for executor in self._executors.of(key):
            executor.lose_agent()

    def impersonate(self, key: ExecutorKey) -> None:
        """Another process registers as the executor, and sends updates of its tasks."""
        process = self._world.process
        if process is None:
            return
        message = m.RegisterExecutorMessage()
        message.framework_id.value, message.executor_id.value = key.framework_id, key.executor_id
        process.post(facts.MessageReceived(IMPOSTOR, message))
        for task, executor in self._executors.executor_of.items():
            if executor == key:
                process.post(facts.MessageReceived(IMPOSTOR, self._update(key, task.task_id)))

    def _update(self, key: ExecutorKey, task_id: str) -> m.StatusUpdateMessage:
        message = m.StatusUpdateMessage()
        message.update.framework_id.value = key.framework_id
        message.update.executor_id.value = key.executor_id
        message.update.uuid, message.update.timestamp = self._executors.uuid(), 1.0
        message.update.status.task_id.value = task_id
        message.update.status.state = TaskState.TASK_ERROR
        return message
