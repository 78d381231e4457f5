"""Launches of tasks and task groups for custom executors: accepted whole, or rejected whole."""

from __future__ import annotations

from collections.abc import Sequence

from shim.core import executor_admission, rejections
from shim.core.context import Context
from shim.core.custom_executor import CustomExecutor, Size
from shim.core.executors import ExecutorPhase, Executors
from shim.core.frameworks import Framework
from shim.core.reservations import Reservations
from shim.core.status import Report
from shim.core.tasks import Tasks
from shim.core.volumes import PersistentVolumes
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey
from shim.protos.mesos_pb2 import ExecutorInfo, TaskInfo


class ExecutorLaunches:
    def __init__(
        self,
        ctx: Context,
        tasks: Tasks,
        executors: Executors,
        reservations: Reservations,
        volumes: PersistentVolumes,
    ) -> None:
        self._ctx = ctx
        self._reservations = reservations
        self._volumes = volumes
        self._tasks = tasks
        self._executors = tasks.custom_executors
        self._all_executors = executors

    def run(
        self,
        framework: Framework,
        info: ExecutorInfo,
        tasks: Sequence[TaskInfo],
        rejection: Report | None,
        *,
        grouped: bool,
        launch_executor: bool | None,
    ) -> None:
        """Launch the tasks, unless there is a ``rejection`` or a reason for one.

        ``launch_executor`` None: an old master, which leaves it to the agent.
        """
        framework_id = FrameworkId(framework.info.id.value)
        if not info.HasField("framework_id"):
            info.framework_id.value = framework_id
        key = ExecutorKey(framework_id, ExecutorId(info.executor_id.value))
        executor = self._executors.table.get(key)
        if rejection is None and key in self._all_executors:
            rejection = executor_admission.other_info(info)
        if rejection is None:
            rejection = self._problem(framework, info, tasks, executor, launch_executor)
        if rejection is None:
            self._executors.launch(framework, info, tasks, grouped=grouped)
            return
        for task in tasks:
            task_key = TaskKey(framework_id, TaskId(task.task_id.value))
            self._tasks.reporter.reject(framework, task_key, rejection, key.executor_id)
        self._inform_master(key, executor, launch_executor)

    def _problem(
        self,
        framework: Framework,
        info: ExecutorInfo,
        tasks: Sequence[TaskInfo],
        executor: CustomExecutor | None,
        launch_executor: bool | None,
    ) -> Report | None:
        wanted = [*info.resources, *(r for task in tasks for r in task.resources)]
        known = self._reservations.resources
        report = (
            executor_admission.unfit(
                info,
                framework.info.id.value,
                tasks,
                has_default_container=self._ctx.settings.has_default_container,
            )
            or rejections.unusable_volume(framework, info, tasks)
            or rejections.unknown_resources(framework, wanted, known)
            or executor_admission.refused(
                executor, info, framework, launch_executor=launch_executor
            )
        )
        if report is None and executor is not None:
            mounted = self._volumes.held_by(executor.ref.container_id)
            lacking = [mount for mount in self._volumes.mounts(wanted) if mount.name not in mounted]
            report = executor_admission.not_mounted(executor, lacking)
        if report is None and executor is not None and self._ctx.settings.fixed_size:
            live = [t.info.resources for t in self._executors.tasks_of(executor) if t.live]
            new = [task.resources for task in tasks]
            needed = Size.of(executor.info.resources, *live, *new)
            report = executor_admission.too_large(executor, needed)
        return report

    def _inform_master(
        self, key: ExecutorKey, executor: CustomExecutor | None, launch_executor: bool | None
    ) -> None:
        """Free what the master booked for an executor that is not launched.

        A master that wants to launch an executor that runs has lost it: that one is ended. The
        exit of a DEFAULT executor with this id is told when it has ended.
        """
        if launch_executor is False or (launch_executor is None and executor is not None):
            return
        default = self._all_executors.get(key)
        if default is not None and default.phase is not ExecutorPhase.TERMINATED:
            return
        if executor is not None and executor.phase is not ExecutorPhase.TERMINATED:
            self._executors.shut_down(executor, "the master launches it again")
        else:
            self._all_executors.send_exited(key)
