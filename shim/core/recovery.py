"""Taking up again after a restart: what the journal says against what the endpoint holds.

======================  =================================================================
the container is        then
======================  =================================================================
running                 a task that ran goes on; a half-done launch is adopted: it runs
created, provisioning   the launch is given again (it finds the container by its name); one
                        that was being given up is given up: it never started. One of a
                        task that ran is not what ran: it was removed by others
ended                   the task ended while nobody looked: its exit code is reported
not there               it had run: it was removed by others. It was being created: whether
                        it ran nobody can tell, so the launch is undone, never repeated.
                        It was not yet asked for: the launch is given again
======================  =================================================================

A container of ours that no task knows is removed (``--docker_kill_orphans``); one that lacks the
label with its container id is none that we made, and is left. Tasks of frameworks without
checkpointing were given up by the master when our link broke: they end without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shim.core import rejections
from shim.core.context import Context
from shim.core.frameworks import Frameworks
from shim.core.lifecycle import Event, Phase
from shim.core.task import Task
from shim.core.tasks import Tasks
from shim.model import facts
from shim.model.container import Container, Ref
from shim.model.container import Phase as Seen
from shim.model.ids import ContainerId
from shim.model.orders import Level, Remove, RemoveOrphan


class Recovery:
    def __init__(self, ctx: Context, tasks: Tasks, frameworks: Frameworks) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._frameworks = frameworks

    def needs_inspect(self) -> Callable[[Container], bool]:
        """Of which containers a list tells too little: exit codes and addresses are wanted.

        That one runs which ran before is all there is to know of it, and of one that belongs to
        no live task, that it is there: of ten thousand, a few are looked at closely.
        """
        ran = {
            t.ref.container_id: t.container_running for t in self._tasks.table.values() if t.live
        }

        def needed(listed: Container) -> bool:
            if listed.container_id is None:
                return True
            published = ran.get(listed.container_id)
            return published is not None and not (published and listed.phase is Seen.RUNNING)

        return needed

    def match(self, containers: Iterable[Container]) -> None:
        found: dict[ContainerId, Container] = {}
        for container in containers:
            if container.container_id is None:
                self._ctx.notice(Level.WARNING, f"{container.name} has no container id; left")
            else:
                found[container.container_id] = container
        live = [task for task in self._tasks.table.values() if task.live]
        self._ctx.notice(
            Level.INFO, f"recovering {len(live)} tasks; {len(found)} containers of ours exist"
        )
        for ref in self._tasks.doomed.values():
            self._ctx.order(Remove(ref))
        known = set(self._tasks.doomed) | {task.ref.container_id for task in live}
        for container_id, container in found.items():
            if container_id not in known:
                self._orphan(container)
        for task in live:
            self._meet(task, found.get(task.ref.container_id))
        self._end_unprotected()

    def _orphan(self, container: Container) -> None:
        key, container_id = container.task_key, container.container_id
        if self._ctx.settings.cleanup and key is not None and container_id is not None:
            # Waited for: the process ends when all is gone.
            self._tasks.doomed.add(Ref(key, container_id))
        elif self._ctx.settings.kill_orphans:
            self._ctx.notice(Level.WARNING, f"removing {container.name}: no task of ours knows it")
            self._ctx.order(RemoveOrphan(container.name))
        else:
            self._ctx.notice(Level.WARNING, f"{container.name} belongs to no task of ours; left")

    def _meet(self, task: Task, container: Container | None) -> None:
        tasks = self._tasks
        tasks.limit_time(task)
        if container is None:
            self._missing(task)
        elif container.phase is Seen.RUNNING:
            tasks.watch(task)
            if task.phase in (Phase.STAGING, Phase.STARTING, Phase.CANCELLING):
                self._ctx.counters["launches_adopted"] += 1
                tasks.happened(task.ref, Event.STARTED, container)
            else:
                tasks.resume(task)
        elif container.phase is Seen.EXITED:
            exited = facts.ContainerExited(
                task.ref, container.exit_code, container.oom_killed, container.error
            )
            tasks.happened(task.ref, Event.EXITED, exited)
        elif task.phase is Phase.CANCELLING:
            tasks.happened(task.ref, Event.CANCELLED)
        elif task.phase in (Phase.STAGING, Phase.STARTING):
            self._ctx.order(tasks.launch_order(task))
        else:
            # It ran: what is there now is not what ran, and is not started.
            tasks.happened(task.ref, Event.VANISHED)

    def _missing(self, task: Task) -> None:
        tasks = self._tasks
        if task.phase is Phase.STAGING:
            self._ctx.order(tasks.launch_order(task))
        elif task.phase is Phase.STARTING:
            self._undo(task)
        else:
            event = Event.CANCELLED if task.phase is Phase.CANCELLING else Event.VANISHED
            tasks.happened(task.ref, event)

    def _undo(self, task: Task) -> None:
        framework = self._frameworks.table[task.key.framework_id]
        self._tasks.finish(task, rejections.undone(framework))

    def _end_unprotected(self) -> None:
        for framework in list(self._frameworks.table.values()):
            if not framework.info.checkpoint:
                self._tasks.silence(framework)
