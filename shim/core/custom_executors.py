"""All custom executors of this agent: their containers from launch to end.

The table in :mod:`shim.core.custom_executor` says which action an event leads to. The actions of a
registration are in :mod:`shim.core.executor_registration`, all others are here. Tasks are handed
over by :mod:`shim.core.task_delivery`. Their states come from the executor
(:mod:`shim.core.executor_updates`), except when the executor ends: a task that it leaves behind
gets its state from the agent.
"""

from __future__ import annotations

import uuid as uuidlib
from collections.abc import Callable, Sequence

from shim.core import executor_ends
from shim.core.context import Context
from shim.core.custom_executor import (
    CustomExecutor,
    CustomExecutorAction,
    CustomExecutorEvent,
    step,
)
from shim.core.executor_channel import ExecutorChannel
from shim.core.executor_registration import ExecutorRegistration
from shim.core.executor_services import ExecutorServices
from shim.core.executor_updates import ExecutorUpdates
from shim.core.executors import ExecutorPhase, Executors
from shim.core.frameworks import Framework, Frameworks
from shim.core.lifecycle import Event
from shim.core.task import Task
from shim.core.task_delivery import TaskDelivery
from shim.core.tasks import Tasks
from shim.core.timers import ExecutorTimer
from shim.core.volumes import PersistentVolumes
from shim.model.container import Container, Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskKey
from shim.model.orders import (
    AllowCreate,
    CancelLaunch,
    LaunchExecutor,
    Level,
    Stop,
)
from shim.model.records import DropExecutor, SaveExecutor
from shim.protos.mesos_pb2 import ExecutorInfo, Resource, TaskInfo


class CustomExecutors:
    def __init__(
        self,
        ctx: Context,
        tasks: Tasks,
        executors: Executors,
        frameworks: Frameworks,
        volumes: PersistentVolumes,
    ) -> None:
        self._volumes = volumes
        self._ctx = ctx
        self._tasks = tasks
        self._executors = executors
        self._frameworks = frameworks
        self.channel = ExecutorChannel(ctx)
        self.services = ExecutorServices(ctx)
        self.table: dict[ExecutorKey, CustomExecutor] = {}
        """Until the last terminal update of their tasks is acknowledged."""
        self.updates = ExecutorUpdates(ctx, tasks, frameworks, self)
        self.registration = ExecutorRegistration(ctx, tasks, frameworks, self)
        self.delivery = TaskDelivery(ctx, tasks, frameworks, self)
        tasks.custom_executors = self
        self._actions: dict[CustomExecutorAction, Callable[[CustomExecutor, object], None]] = {
            CustomExecutorAction.IGNORE: lambda executor, detail: None,
            CustomExecutorAction.WELCOME: self.registration.welcome,
            CustomExecutorAction.TURN_AWAY: self.registration.turn_away,
            CustomExecutorAction.DESTROY: self._destroy,
            CustomExecutorAction.SHUT_DOWN: self._shut_down,
            CustomExecutorAction.CONCLUDE: self._conclude,
        }

    @property
    def live(self) -> bool:
        """Whether an executor's container may run."""
        return any(executor.live for executor in self.table.values())

    def apply(
        self, executor: CustomExecutor, event: CustomExecutorEvent, detail: object = None
    ) -> None:
        """Apply an event. ``detail`` is the action's argument."""
        executor.phase, action = step(executor.phase, event)
        self._actions[action](executor, detail)

    # --- launches ---------------------------------------------------------------------------

    def launch(
        self, framework: Framework, info: ExecutorInfo, tasks: Sequence[TaskInfo], *, grouped: bool
    ) -> None:
        """Record the tasks for the executor; launch it, or hand them over when it can take them."""
        key = ExecutorKey(FrameworkId(info.framework_id.value), ExecutorId(info.executor_id.value))
        executor = self.table.get(key)
        is_new = executor is None
        if executor is None:
            executor = self._add(framework, key, info)
        self.delivery.enqueue(framework, executor, tasks, grouped=grouped)
        if is_new:
            executor.size = self.delivery.size_needed(executor)
            order = self.launch_order(executor)
            container_id = executor.ref.container_id
            self._volumes.hold(container_id, order.resources)
            executor.volumes = tuple(sorted(self._volumes.held_by(container_id)))
            self._ctx.order(order)
        self.save(executor)
        self.delivery.advance(executor)

    def _add(self, framework: Framework, key: ExecutorKey, info: ExecutorInfo) -> CustomExecutor:
        own = ExecutorInfo()
        own.CopyFrom(info)
        container_id = ContainerId(str(uuidlib.UUID(bytes=self._ctx.entropy.uuid())))
        executor = CustomExecutor(Ref(key, container_id), own, self._ctx.now.wall)
        self.table[key] = executor
        self._executors.exits.launched(key)
        framework.executor_ids.add(key.executor_id)
        return executor

    def launch_order(self, executor: CustomExecutor) -> LaunchExecutor:
        framework = self._frameworks.table[executor.key.framework_id]
        resources: list[Resource] = [*executor.info.resources]
        for task in self.tasks_of(executor):
            resources += task.info.resources
        return LaunchExecutor(
            executor.ref,
            executor.info,
            framework.info,
            self._ctx.agent_id or "",
            tuple(resources),
            # A task may name a volume that its executor has as well.
            tuple(dict.fromkeys(self._volumes.mounts(resources, executor.ref.container_id))),
        )

    # --- ends -------------------------------------------------------------------------------

    def shut_down(self, executor: CustomExecutor, why: str) -> None:
        """Ask it to end; its container is stopped after the grace period."""
        if executor.phase in (ExecutorPhase.REGISTERING, ExecutorPhase.RUNNING):
            self._ctx.notice(Level.INFO, f"shutting down {executor}: {why}")
        self.apply(executor, CustomExecutorEvent.SHUTDOWN)

    def shut_down_unused(self) -> None:
        """A drain began: end the executors without a live task."""
        for executor in list(self.table.values()):
            if not any(task.live for task in self.tasks_of(executor)):
                self.shut_down(executor, "the agent is draining")

    def shut_down_all(self) -> None:
        """The agent ends."""
        for executor in list(self.table.values()):
            self.shut_down(executor, "the agent is ending")

    def shut_down_framework(self, framework: Framework) -> None:
        """The framework is gone: end its executors."""
        for executor in list(self.table.values()):
            if framework.info.id.value == executor.key.framework_id:
                self.shut_down(executor, "its framework is gone")

    def _shut_down(self, executor: CustomExecutor, detail: object) -> None:
        self.save(executor)
        self.services.withdraw_all(self.tasks_of(executor))
        self.channel.shutdown(executor)
        grace = self._ctx.settings.shutdown_grace
        if executor.info.HasField("shutdown_grace_period"):
            grace = max(0.0, executor.info.shutdown_grace_period.nanoseconds / 1e9)
        self._ctx.timers.set(ExecutorTimer(executor.ref), self._ctx.now.mono + grace)

    def _destroy(self, executor: CustomExecutor, detail: object) -> None:
        self._ctx.timers.cancel(ExecutorTimer(executor.ref))
        self.registration.turn_away_waiting(executor)
        self.save(executor)
        self.services.withdraw_all(self.tasks_of(executor))
        if executor.started:
            self._ctx.order(Stop(executor.ref, self._ctx.settings.stop_timeout))
        else:
            self._ctx.order(CancelLaunch(executor.ref))

    def _conclude(self, executor: CustomExecutor, detail: object) -> None:
        """Its container is gone for good: so are the tasks that it left behind."""
        report = executor_ends.report(executor, detail)
        self._ctx.timers.cancel(ExecutorTimer(executor.ref))
        self.registration.turn_away_waiting(executor)
        self.channel.end_stream(executor)
        self._ctx.counters["executors_terminated"] += 1
        self._ctx.notice(Level.INFO, f"{executor} ended: {report.message}")
        self.save(executor)
        for task in list(self.tasks_of(executor)):
            if task.live:
                self._tasks.finish(task, report)
        self._executors.send_exited(executor.key, executor_ends.wait_status(detail))
        self._tasks.pending_removals.add(executor.ref)
        self._drop_if_unused(executor)

    def task_ended(self, task: Task) -> None:
        """An executor that nothing is left for is ended: one that never had a task, or in a
        drain. Any other one stays for the next task."""
        executor = self._executor_of(task)
        if executor is None or any(other.live for other in self.tasks_of(executor)):
            return
        has_nothing_to_do = (
            executor.phase is ExecutorPhase.REGISTERING
            and not executor.used
            and not executor.reconnecting
        )
        if has_nothing_to_do or self._tasks.drain is not None:
            self.shut_down(executor, "it has no task to run")

    def restore_task(self, key: ExecutorKey, task_key: TaskKey) -> None:
        """A task of the journal belongs to this executor."""
        executor = self.table.get(key)
        if executor is not None:
            executor.task_keys[task_key] = None

    def task_forgotten(self, task: Task) -> None:
        """The last update of a task is acknowledged."""
        executor = self._executor_of(task)
        if executor is not None:
            executor.task_keys.pop(task.key, None)
            self._drop_if_unused(executor)

    def _drop_if_unused(self, executor: CustomExecutor) -> None:
        if executor.live or executor.task_keys or executor.key not in self.table:
            return
        del self.table[executor.key]
        self._ctx.record(DropExecutor(executor.ref.container_id))
        self._frameworks.release_executor(executor.key)

    # --- its container ----------------------------------------------------------------------

    def creating(self, ref: Ref) -> None:
        """The launch waits to send its create: it is durable first that it may."""
        executor = self.of(ref)
        if executor is not None and executor.phase is ExecutorPhase.REGISTERING:
            executor.creating = True
            self.save(executor)
            self._ctx.order(AllowCreate(ref))

    def started(self, ref: Ref, container: Container) -> None:
        executor = self.of(ref)
        if executor is None or executor.started:
            return
        executor.started, executor.addresses = True, container.addresses
        self.save(executor)
        if executor.phase is ExecutorPhase.TERMINATING:
            self._ctx.order(Stop(ref, self._ctx.settings.stop_timeout))
        elif executor.phase is ExecutorPhase.REGISTERING:
            self.registration.await_registration(executor)

    def apply_to_container(self, ref: Ref, event: Event, detail: object) -> None:
        """An event of an executor's container. ``detail`` is the container, or the fact."""
        if event is Event.CREATING:
            self.creating(ref)
        elif event is Event.STARTED:
            assert isinstance(detail, Container)
            self.started(ref, detail)
        elif (executor := self.of(ref)) is not None:
            # It exited, vanished, or was never started.
            self.apply(executor, CustomExecutorEvent.ENDED, detail)

    def timer_fired(self, ref: Ref) -> None:
        executor = self.of(ref)
        if executor is None:
            return
        if executor.phase is ExecutorPhase.TERMINATING:
            self.apply(executor, CustomExecutorEvent.GRACE_OVER)
        else:
            self.registration.timer_fired(executor)

    # --- the table --------------------------------------------------------------------------

    def of(self, ref: Ref) -> CustomExecutor | None:
        """The executor with this container; None, and counted, for an earlier container."""
        executor = self.table.get(ref.key) if isinstance(ref.key, ExecutorKey) else None
        if executor is None or executor.ref != ref:
            self._ctx.counters["late_facts"] += 1
            return None
        return executor

    def _executor_of(self, task: Task) -> CustomExecutor | None:
        key = task.executor_key
        return None if key is None else self.table.get(key)

    def tasks_of(self, executor: CustomExecutor) -> list[Task]:
        """Its tasks that the agent has a record of, oldest first."""
        table = self._tasks.table
        return [table[key] for key in executor.task_keys if key in table]

    def save(self, executor: CustomExecutor) -> None:
        record = SaveExecutor(executor.ref.container_id, executor.journal_value())
        self._ctx.record(record)
