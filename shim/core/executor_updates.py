"""Status updates of custom executors: checked, stored, forwarded, then acknowledged to them.

An executor keeps an update until the agent acknowledges it. So the acknowledgement is ordered by
the decision that records the update: it leaves only after the record is durable. An update that is
of no use (the task has ended, the update is known) is acknowledged as well: the executor would
repeat it for ever. An update that the executor may not send is neither stored nor acknowledged.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from shim.core.context import Context
from shim.core.custom_executor import CustomExecutor
from shim.core.frameworks import Frameworks
from shim.core.lifecycle import TaskPhase
from shim.core.task import Task
from shim.core.tasks import Tasks
from shim.model.ids import AgentId, TaskId, TaskKey
from shim.model.orders import Level
from shim.model.states import TERMINAL
from shim.model.validation import uuid_problem
from shim.protos.mesos_pb2 import ContainerStatus, TaskState, TaskStatus
from shim.protos.messages_pb2 import StatusUpdate, StatusUpdateMessage

if TYPE_CHECKING:
    from shim.core.custom_executors import CustomExecutors

_NOT_OF_EXECUTORS = (
    TaskState.TASK_STAGING,
    TaskState.TASK_UNREACHABLE,
    TaskState.TASK_UNKNOWN,
)
"""States that only a master sets: sent on, they would abort it."""


class ExecutorUpdates:
    def __init__(
        self, ctx: Context, tasks: Tasks, frameworks: Frameworks, executors: CustomExecutors
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._frameworks = frameworks
        self._executors = executors

    def receive(self, executor: CustomExecutor, update: StatusUpdate) -> None:
        """Apply an update of this executor."""
        reported = update.status
        if problem := self._problem(executor, update):
            self._invalid(executor, update, problem)
            return
        if reported.state in _NOT_OF_EXECUTORS:
            name = TaskState.Name(reported.state)
            self._invalid(executor, update, f"an executor may not send {name}")
            self._executors.shut_down(executor, f"it sent {name}")
            return
        task = self._tasks.table.get(_key(executor, reported))
        if task is not None and task.executor_key != executor.key:
            self._invalid(executor, update, "the task is not of this executor")
            return
        self._ctx.counters["valid_status_updates"] += 1
        if task is not None and self._is_news(task, update):
            self._store(executor, task, update)
        self._executors.channel.acknowledge(executor, reported.task_id.value, update.uuid)

    def _problem(self, executor: CustomExecutor, update: StatusUpdate) -> str | None:
        """Why the update is ignored; None when it is a valid one."""
        if not update.uuid:
            return "it has no uuid"
        if problem := uuid_problem(update.uuid):
            return f"uuid: {problem}"
        for name, agent_id in (
            ("slave_id", update.slave_id.value),
            ("status.slave_id", update.status.slave_id.value),
        ):
            if agent_id and agent_id != self._ctx.agent_id:
                return f"{name} is {agent_id}, this agent is {self._ctx.agent_id}"
        return None

    def _invalid(self, executor: CustomExecutor, update: StatusUpdate, problem: str) -> None:
        self._ctx.counters["invalid_status_updates"] += 1
        text = f"update of {executor} about task {update.status.task_id.value} ignored: {problem}"
        self._ctx.notice(Level.WARNING, text)

    def _is_news(self, task: Task, update: StatusUpdate) -> bool:
        """Whether the task is live, the executor has it, and the update is not known."""
        if not task.live or any(known.uuid == update.uuid for known in task.wire.statuses):
            return False
        return task.phase is TaskPhase.DELIVERED or update.status.state in TERMINAL

    def _store(self, executor: CustomExecutor, task: Task, update: StatusUpdate) -> None:
        message = self._message(executor, task, update)
        final = message.update.status
        if final.HasField("healthy"):
            task.healthy = final.healthy
        if final.HasField("check_status"):
            task.check_status = final.check_status.SerializeToString()
        if final.state in TERMINAL:
            self._tasks.finish_as_reported(task, message)
        else:
            self._tasks.reporter.forward(task, message)
            self._executors.services.update(executor, task)

    def _message(
        self, executor: CustomExecutor, task: Task, update: StatusUpdate
    ) -> StatusUpdateMessage:
        """The update as the master gets it, with what the agent knows better."""
        ctx = self._ctx
        message = StatusUpdateMessage(pid=str(ctx.settings.pid))
        result = message.update
        result.CopyFrom(update)
        result.framework_id.value = executor.key.framework_id
        result.executor_id.value = executor.key.executor_id
        result.slave_id.value = ctx.agent_id or ""
        final = result.status
        for part in (result, final):
            if not math.isfinite(part.timestamp):
                part.timestamp = ctx.now.wall
        final.uuid = update.uuid
        final.source = TaskStatus.SOURCE_EXECUTOR
        final.executor_id.value = executor.key.executor_id
        final.slave_id.value = AgentId(ctx.agent_id or "")
        final.container_status.CopyFrom(self._container_status(executor, task, final))
        self._tasks.apply_drain(task, final)
        result.latest_state = final.state
        return message

    def _container_status(
        self, executor: CustomExecutor, task: Task, reported: TaskStatus
    ) -> ContainerStatus:
        """What the executor says, completed with its container and the container's addresses."""
        known = self._tasks.reporter.container_status(task)
        if reported.HasField("container_status"):
            said = reported.container_status
            if said.network_infos:
                del known.network_infos[:]
            known.MergeFrom(said)
        return known


def _key(executor: CustomExecutor, reported: TaskStatus) -> TaskKey:
    return TaskKey(executor.key.framework_id, TaskId(reported.task_id.value))


def from_v1(executor: CustomExecutor, reported: TaskStatus, now: float) -> StatusUpdate:
    """The update of a v1 call; without a timestamp of its own it is of ``now``."""
    update = StatusUpdate(uuid=reported.uuid, timestamp=now)
    if reported.HasField("timestamp"):
        update.timestamp = reported.timestamp
    update.framework_id.value = executor.key.framework_id
    update.status.CopyFrom(reported)
    return update
