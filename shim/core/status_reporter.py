"""Telling frameworks what became of tasks: of ours, and of those that we refuse."""

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
from shim.protos.mesos_pb2 import ContainerStatus, TaskState
from shim.protos.messages_pb2 import StatusUpdateMessage


class StatusReporter:
    """Makes updates of reports, durable and on their way. ``ours`` are the agent's tasks."""

    def __init__(
        self,
        ctx: Context,
        frameworks: Frameworks,
        streams: StatusUpdateManager,
        ours: Mapping[TaskKey, Task],
    ) -> None:
        self._ctx = ctx
        self._frameworks = frameworks
        self._streams = streams
        self._ours = ours

    def tell(self, task: Task, report: Report) -> None:
        """Make the task's change durable, and a status update of it; a muted task says nothing."""
        if task.cause == Cause.MUTED:
            self.save(task)
            return
        if report.state == TaskState.TASK_RUNNING:
            # Every one repeats the last results of both kinds of check.
            report = replace(report, healthy=task.healthy, check_status=task.check_status)
        container = self._container_status(task) if report.launched else None
        update = self._update(task.key, report, task.key.task_id, container)
        task.note(update.update.status)
        self.save(task)
        self._streams.add(task.key, update)

    def save(self, task: Task) -> None:
        """Make a change durable that nobody is told of."""
        self._ctx.record(SaveTask(task.key, task.state()))

    def refuse(
        self, framework: Framework, key: TaskKey, report: Report, executor_id: str | None = None
    ) -> None:
        """Say something terminal about a task that is not ours, unless that was said already."""
        if key in self._ours or self._streams.closed(key):
            self._ctx.counters["refusals_repeated"] += 1
            return
        framework.keys.add(key)
        update = self._update(key, report, executor_id or key.task_id, None)
        self._streams.add(key, update)

    def give_up_refusal(self, key: TaskKey) -> bool:
        """Whether a refusal is too old to be said again: it is forgotten then."""
        said = self._streams.oldest(key)
        if key in self._ours or said is None:
            return False
        if self._ctx.now.wall - said < limits.REFUSAL_AGE:
            return False
        self._streams.drop(key)
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

    def _container_status(self, task: Task) -> ContainerStatus:
        """Where the task is: its own address, else that of the engine's host."""
        addresses, host = task.addresses, self._ctx.settings.engine_ip
        if not addresses and host is not None:
            addresses = (host,)
        return status.container_status(task.ref.container_id, task.info, addresses)
