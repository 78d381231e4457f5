"""Recovery after a restart: the journal's executors and tasks against the endpoint's containers.

======================  =================================================================
the container is        then
======================  =================================================================
running                 a task that ran continues; an unfinished launch is adopted: it runs
created, provisioning   an unfinished launch is ordered again, and finds the container by
                        its name; a launch under cancellation is cancelled, since nothing
                        started; a task that ran lost its container, since this one did
                        not run yet
exited                  the task ended during the restart: its exit code is reported
missing                 the task had run: its container was removed by others. The create
                        was under way: whether the container ran is unknown, so the launch
                        is undone and never repeated. The create was not yet asked for:
                        the launch is ordered again
======================  =================================================================

An infra container that is gone has ended its executor, and all tasks of the executor with it. The
launch of one is repeated at will: it runs nothing. The launches of a queued group's tasks are
ordered with it, and wait for it.

A container with this shim's label that belongs to no task and no executor is removed
(``--docker_kill_orphans``). A container without the label for its container id is left: no shim
makes such containers. The master gave up the tasks of frameworks without checkpointing when the
link broke, so those tasks end without status updates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shim.core import rejections
from shim.core.context import Context
from shim.core.executor_recovery import ExecutorRecovery
from shim.core.executors import ExecutorPhase, Executors
from shim.core.frameworks import Frameworks
from shim.core.lifecycle import Event, TaskPhase
from shim.core.task import Task
from shim.core.task_groups import TaskGroups
from shim.core.tasks import Tasks
from shim.model import facts
from shim.model.container import Container, Phase, Ref
from shim.model.ids import ContainerId, ExecutorKey, TaskKey
from shim.model.orders import Level, Remove, RemoveOrphan


class Recovery:
    def __init__(
        self,
        ctx: Context,
        tasks: Tasks,
        groups: TaskGroups,
        executors: Executors,
        frameworks: Frameworks,
        custom_executors: ExecutorRecovery,
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._groups = groups
        self._executors = executors
        self._frameworks = frameworks
        self._custom_executors = custom_executors

    def needs_inspect(self) -> Callable[[Container], bool]:
        """Which listed containers must be inspected: for their exit code or their addresses.

        The list is enough for a running container whose task ran before, and for a container
        without a live task. So only a few of ten thousand containers are inspected.
        """
        was_running = {
            task.ref.container_id: task.container_running
            for task in self._tasks.table.values()
            if task.live and not task.inside_executor
        }
        for executor in self._executors.values():
            # The addresses of a launched container are known.
            was_running[executor.container_id] = executor.phase is not ExecutorPhase.REGISTERING
        for custom in self._tasks.custom_executors.table.values():
            was_running[custom.ref.container_id] = custom.started

        def needed(listed: Container) -> bool:
            if listed.container_id is None:
                return True
            ran = was_running.get(listed.container_id)
            return ran is not None and not (ran and listed.phase is Phase.RUNNING)

        return needed

    def reconcile(self, containers: Iterable[Container]) -> None:
        """Compare every task with its container; see the table above."""
        found: dict[ContainerId, Container] = {}
        for container in containers:
            if container.container_id is None:
                self._ctx.notice(
                    Level.WARNING,
                    f"container {container.name} lacks the container_id label and is kept",
                )
            else:
                found[container.container_id] = container
        live = [task for task in self._tasks.table.values() if task.live]
        self._ctx.notice(
            Level.INFO,
            f"recovering {len(live)} tasks; the endpoint has {len(found)} containers of this shim",
        )
        for ref in self._tasks.pending_removals.values():
            self._ctx.order(Remove(ref))
        self.remove_orphans(found.values())
        # Infra containers first: the launches of tasks wait for them.
        self._groups.reconcile(found)
        for task in live:
            if task.live and not task.inside_executor:
                self._resume_task(task, found.get(task.ref.container_id))
        self._custom_executors.reconcile(found)
        self._drop_frameworks_without_checkpoint()

    def remove_orphans(self, containers: Iterable[Container]) -> None:
        """Also after recovery: requests of an earlier leader may have arrived late."""
        live = (task for task in self._tasks.table.values() if task.live)
        known = set(self._tasks.pending_removals) | {task.ref.container_id for task in live}
        known |= {executor.container_id for executor in self._executors.values()}
        custom = self._tasks.custom_executors.table.values()
        known |= {executor.ref.container_id for executor in custom}
        for container in containers:
            if container.container_id is not None and container.container_id not in known:
                self._remove_orphan(container)

    def _remove_orphan(self, container: Container) -> None:
        key: TaskKey | ExecutorKey | None = container.task_key or container.executor_key
        container_id = container.container_id
        if self._ctx.settings.cleanup and key is not None and container_id is not None:
            # The process ends only when all pending removals are done.
            self._tasks.pending_removals.add(Ref(key, container_id))
        elif self._ctx.settings.kill_orphans:
            self._ctx.notice(
                Level.WARNING, f"removing container {container.name}: it belongs to no task"
            )
            self._ctx.order(RemoveOrphan(container.name))
        else:
            self._ctx.notice(
                Level.WARNING, f"container {container.name} belongs to no task and is kept"
            )

    def _resume_task(self, task: Task, container: Container | None) -> None:
        tasks = self._tasks
        tasks.start_expiry_timer(task)
        if container is None:
            self._container_missing(task)
        elif container.phase is Phase.RUNNING:
            tasks.watch(task)
            if task.phase in (TaskPhase.STAGING, TaskPhase.STARTING, TaskPhase.CANCELLING):
                self._ctx.counters["launches_adopted"] += 1
                tasks.apply(task.ref, Event.STARTED, container)
            else:
                task.ports = container.ports
                tasks.resume(task)
        elif container.phase is Phase.EXITED:
            exited = facts.ContainerExited(
                task.ref, container.exit_code, container.oom_killed, container.error
            )
            tasks.apply(task.ref, Event.EXITED, exited)
        elif task.phase is TaskPhase.CANCELLING:
            tasks.apply(task.ref, Event.CANCELLED)
        elif task.phase in (TaskPhase.STAGING, TaskPhase.STARTING):
            self._ctx.order(tasks.launch_order(task))
        else:
            # The task's container ran, so this one is another: it is not started.
            tasks.apply(task.ref, Event.VANISHED)

    def _container_missing(self, task: Task) -> None:
        tasks = self._tasks
        if task.phase is TaskPhase.STAGING:
            self._ctx.order(tasks.launch_order(task))
        elif task.phase is TaskPhase.STARTING:
            self._undo_launch(task)
        else:
            cancelled = task.phase is TaskPhase.CANCELLING
            tasks.apply(task.ref, Event.CANCELLED if cancelled else Event.VANISHED)

    def _undo_launch(self, task: Task) -> None:
        framework = self._frameworks.table[task.key.framework_id]
        self._tasks.finish(task, rejections.launch_interrupted(framework))

    def _drop_frameworks_without_checkpoint(self) -> None:
        for framework in list(self._frameworks.table.values()):
            if not framework.info.checkpoint:
                self._tasks.drop_framework(framework)
