"""Status updates made from reports: about accepted tasks, and about rejected ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from shim import limits
from shim.core import status
from shim.core.context import Context
from shim.core.frameworks import Framework, Frameworks
from shim.core.status import Report
from shim.core.status_updates import StatusUpdateManager
from shim.core.task import Task
from shim.model.ids import TaskKey
from shim.model.records import SaveTask
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import ContainerStatus, TaskState, TaskStatus
from shim.protos.messages_pb2 import StatusUpdateMessage


class StatusReporter:
    """Records updates and queues them for delivery. ``accepted`` are the agent's tasks."""

    def __init__(
        self,
        ctx: Context,
        frameworks: Frameworks,
        status_updates: StatusUpdateManager,
        accepted: Mapping[TaskKey, Task],
    ) -> None:
        self._ctx = ctx
        self._frameworks = frameworks
        self._status_updates = status_updates
        self._accepted = accepted

    def report(self, task: Task, report: Report) -> None:
        """Record the task's change and a status update about it.

        A task whose updates are suppressed is recorded only.
        """
        if task.cause == Cause.WITHOUT_UPDATES:
            self.save(task)
            return
        if report.state == TaskState.TASK_RUNNING:
            # Every TASK_RUNNING repeats the last results of both kinds of check.
            report = replace(report, healthy=task.healthy, check_status=task.check_status)
        elif task.group is not None and report.source == TaskStatus.SOURCE_EXECUTOR:
            # The default executor sets it in every update.
            empty = status.empty_check(task.info)
            report = replace(report, check_status=empty and empty.SerializeToString())
        container = self.container_status(task) if report.launched else None
        update = self._update(task.key, report, task.executor_id, container)
        self.forward(task, update)

    def forward(self, task: Task, update: StatusUpdateMessage) -> None:
        """Record the task's change and the update, and queue the update for delivery."""
        task.add_status(update.update.status)
        self.save(task)
        self._status_updates.add(task.key, update)

    def save(self, task: Task) -> None:
        """Record the task's change without a status update."""
        self._ctx.record(SaveTask(task.key, task.journal_state()))

    def reject(
        self, framework: Framework, key: TaskKey, report: Report, executor_id: str | None = None
    ) -> None:
        """Send a terminal update about a task that was not accepted, unless one is pending."""
        if key in self._accepted or self._status_updates.closed(key):
            # The name of the counter is part of /metrics.
            self._ctx.counters["refusals_repeated"] += 1
            return
        framework.task_keys.add(key)
        update = self._update(key, report, executor_id or key.task_id, None)
        self._status_updates.add(key, update)

    def answer_for_unknown(self, framework: Framework, key: TaskKey, report: Report) -> None:
        """The master asks about a task that may have ended here: repeat its end, or reject it.

        A master may fall back to what an old re-registration request reported. A framework that
        knows the task's end must not be sent another one.
        """
        if key not in self._accepted and self._status_updates.repeat_end(key):
            framework.task_keys.add(key)
        else:
            self.reject(framework, key, report)

    def expire_rejection(self, key: TaskKey) -> bool:
        """Forget a rejection older than ``limits.REJECTION_AGE``; whether there was one."""
        made = self._status_updates.oldest(key)
        if key in self._accepted or made is None:
            return False
        if self._ctx.now.wall - made < limits.REJECTION_AGE:
            return False
        self._status_updates.drop(key)
        self._frameworks.release(key)
        return True

    def _update(
        self, key: TaskKey, report: Report, executor_id: str, container: ContainerStatus | None
    ) -> StatusUpdateMessage:
        ctx = self._ctx
        assert ctx.agent_id is not None
        return status.message(
            report,
            key,
            executor_id=executor_id,
            agent_id=ctx.agent_id,
            pid=ctx.settings.pid,
            uuid=ctx.entropy.uuid(),
            timestamp=ctx.now.wall,
            container=container,
        )

    def container_status(self, task: Task) -> ContainerStatus:
        """With the container's own addresses, else with the address of the engine's host."""
        addresses, host = task.addresses, self._ctx.settings.engine_ip
        if not addresses and host is not None:
            addresses = (host,)
        container_id = task.ref.container_id
        if task.group is None:
            return status.container_status(container_id, task.info.container, addresses)
        executor = task.group.executor
        return status.container_status(
            container_id, executor.info.container, addresses, executor.container_id
        )
