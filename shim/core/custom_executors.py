"""All custom executors of this agent: launching them, handing tasks over, ending them.

The table in :mod:`shim.core.custom_executor` says which action an event leads to; the actions are
here. A task of an executor has no container of its own: it waits in phase QUEUED, and is DELIVERED
once it was handed over. Its states then come from the executor (:mod:`shim.core.executor_updates`),
except when the executor ends: a task that it leaves behind gets its state from the agent.

The container of an executor has the size of the executor and its tasks. It grows before a task that
needs more is handed over; it never shrinks, as memory in use cannot be taken back.
"""

from __future__ import annotations

import uuid as uuidlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from shim import limits
from shim.core import executor_ends
from shim.core.context import Context
from shim.core.custom_executor import (
    Contact,
    CustomExecutor,
    CustomExecutorAction,
    CustomExecutorEvent,
    Size,
    step,
)
from shim.core.executor_channel import ExecutorChannel
from shim.core.executor_services import ExecutorServices
from shim.core.executor_updates import ExecutorUpdates
from shim.core.executors import ExecutorPhase, Executors
from shim.core.frameworks import Framework, Frameworks
from shim.core.lifecycle import Event, TaskPhase
from shim.core.task import Task
from shim.core.tasks import Tasks
from shim.core.timers import ExecutorTimer
from shim.core.volumes import PersistentVolumes
from shim.model import facts
from shim.model.container import Container, Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey
from shim.model.orders import (
    AllowCreate,
    CancelLaunch,
    ExplainSilence,
    LaunchExecutor,
    Level,
    Stop,
    UpdateContainer,
)
from shim.model.records import DropExecutor, SaveExecutor
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import ExecutorInfo, KillPolicy, Resource, TaskInfo, TaskState


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
        tasks.custom_executors = self
        self._actions: dict[CustomExecutorAction, Callable[[CustomExecutor, object], None]] = {
            CustomExecutorAction.IGNORE: lambda executor, detail: None,
            CustomExecutorAction.WELCOME: self._welcome,
            CustomExecutorAction.TURN_AWAY: self._turn_away,
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
        if grouped:
            executor.groups += 1
        for task_info in tasks:
            task_key = TaskKey(key.framework_id, TaskId(task_info.task_id.value))
            group = executor.groups if grouped else 0
            self._tasks.enqueue(framework, task_key, task_info, executor.ref, group)
            executor.task_keys[task_key] = None
        if is_new:
            executor.size = self._needed(executor)
            order = self.launch_order(executor)
            container_id = executor.ref.container_id
            self._volumes.hold(container_id, order.resources)
            executor.volumes = tuple(sorted(self._volumes.held_by(container_id)))
            self._ctx.order(order)
        self.save(executor)
        self.advance(executor)

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

    def advance(self, executor: CustomExecutor) -> None:
        """Hand over the queued tasks, once the container has the size that they need."""
        if executor.phase is not ExecutorPhase.RUNNING or executor.resizing is not None:
            return
        queued = [task for task in self.tasks_of(executor) if task.phase is TaskPhase.QUEUED]
        if not queued:
            return
        needed = executor.size.joined(self._needed(executor))
        if needed != executor.size:
            executor.resizing = needed
            self._ctx.order(UpdateContainer(executor.ref, needed.resources()))
            return
        executor.used = True
        self.save(executor)
        for group in _by_group(queued):
            self._hand_over(executor, group)

    def _hand_over(self, executor: CustomExecutor, tasks: Sequence[Task]) -> None:
        """DELIVERED is durable before the task is sent: no restart hands it over twice."""
        if tasks[0].custom_group and not executor.subscribed:
            for task in tasks:
                self._tasks.finish(task, executor_ends.no_groups())
            return
        framework = self._frameworks.table[executor.key.framework_id]
        for task in tasks:
            task.phase = TaskPhase.DELIVERED
            task.addresses = executor.addresses
            self._tasks.reporter.save(task)
        if tasks[0].custom_group:
            self.channel.launch_group(executor, [_with_executor(task, executor) for task in tasks])
        else:
            self.channel.launch(executor, framework, _with_executor(tasks[0], executor))

    def container_updated(self, fact: facts.ContainerUpdated) -> None:
        """The container has the size for the queued tasks, or cannot have it."""
        executor = self.of(fact.ref)
        if executor is None or executor.resizing is None:
            return
        if fact.error:
            executor.resizing = None
            framework = self._frameworks.table[executor.key.framework_id]
            executor.ended_by = executor_ends.not_resized(framework, fact.error)
            self.apply(executor, CustomExecutorEvent.UNFIT)
            return
        executor.size, executor.resizing = executor.resizing, None
        self.save(executor)
        self.advance(executor)

    # --- registration -----------------------------------------------------------------------

    def register(self, executor: CustomExecutor, contact: Contact) -> None:
        """The executor registered or subscribed. It waits until its container was seen running."""
        if executor.phase is ExecutorPhase.REGISTERING and not executor.started:
            self._turn_away_waiting(executor)
            executor.waiting = contact
        else:
            self._arrive(executor, contact)

    def _arrive(self, executor: CustomExecutor, contact: Contact) -> None:
        """A v0 executor proves itself by its address, which has to be its container's."""
        known = executor.addresses
        if contact.pid is not None and known:
            host = self._ctx.settings.engine_ip
            if contact.pid.ip not in known and contact.pid.ip != host:
                text = f"{contact.pid} registers as {executor}, whose container is at"
                self._ctx.notice(Level.WARNING, f"{text} {', '.join(known)}: turned away")
                self._ctx.counters["false_executors"] += 1
                self.channel.turn_away(contact)
                return
        self.apply(executor, CustomExecutorEvent.REGISTERED, contact)

    def _welcome(self, executor: CustomExecutor, detail: object) -> None:
        assert isinstance(detail, Contact)
        framework = self._frameworks.table[executor.key.framework_id]
        self.channel.end_stream(executor)
        executor.stream, executor.pid = detail.stream, detail.pid
        executor.subscribed = detail.stream is not None
        executor.reconnecting = False
        self._ctx.timers.cancel(ExecutorTimer(executor.ref))
        self.save(executor)
        if not executor.used and not any(task.live for task in self.tasks_of(executor)):
            self.shut_down(executor, "it has no task to run")
            return
        self.channel.registered(executor, framework, detail)
        self._settle(executor, framework, detail)
        for task in self.tasks_of(executor):
            if task.phase is TaskPhase.DELIVERED and task.cause != Cause.NONE:
                self.channel.kill(executor, task.ref, None)
        self.advance(executor)

    def _settle(self, executor: CustomExecutor, framework: Framework, contact: Contact) -> None:
        """Apply the updates that the agent missed; end tasks that never reached the executor."""
        for update in contact.updates:
            self.updates.receive(executor, update)
        for task in self.tasks_of(executor):
            lost = task.phase is TaskPhase.DELIVERED and task.wire.state == TaskState.TASK_STAGING
            if lost and task.key.task_id not in contact.tasks:
                self._tasks.finish(task, executor_ends.never_arrived(framework))

    def _turn_away(self, executor: CustomExecutor, detail: object) -> None:
        assert isinstance(detail, Contact)
        self._ctx.notice(Level.WARNING, f"{executor} registers while it is ending: turned away")
        self.channel.turn_away(detail)

    def _turn_away_waiting(self, executor: CustomExecutor) -> None:
        """A registration that came before its container was seen running is not accepted."""
        if executor.waiting is not None:
            self.channel.turn_away(executor.waiting)
            executor.waiting = None

    # --- kills and ends ---------------------------------------------------------------------

    def kill(self, task: Task, policy: KillPolicy | None) -> None:
        """End a task of an executor: a queued one here, a launched one by its executor."""
        assert task.executor_key is not None
        executor = self.table[task.executor_key]
        if task.cause == Cause.WITHOUT_UPDATES:
            self._tasks.finish(task, executor_ends.killed_while_queued(grouped=False))
        elif task.phase is TaskPhase.QUEUED:
            self._kill_queued(executor, task)
        else:
            self._tasks.reporter.save(task)
            self.services.withdraw(task)
            if executor.phase is ExecutorPhase.RUNNING:
                self.channel.kill(executor, task.ref, policy)

    def _kill_queued(self, executor: CustomExecutor, task: Task) -> None:
        """A kill of one task of a group that was not handed over ends the group."""
        group = [
            other
            for other in self.tasks_of(executor)
            if other is task or (task.custom_group and other.custom_group == task.custom_group)
        ]
        for each in group:
            if each.phase is TaskPhase.QUEUED:
                report = executor_ends.killed_while_queued(grouped=bool(task.custom_group))
                self._tasks.finish(each, self._tasks.with_drain_reason(each, report))

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
        self._turn_away_waiting(executor)
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
        self._turn_away_waiting(executor)
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
            self.await_registration(executor)

    def await_registration(self, executor: CustomExecutor) -> None:
        """Start the timer of ``--executor_registration_timeout``, or go on if it has come first."""
        at = self._ctx.now.mono + self._ctx.settings.executor_registration_timeout
        self._ctx.timers.set(ExecutorTimer(executor.ref), at)
        contact, executor.waiting = executor.waiting, None
        if contact is not None:
            self._arrive(executor, contact)

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

    # --- timers -----------------------------------------------------------------------------

    def timer_fired(self, ref: Ref) -> None:
        executor = self.of(ref)
        if executor is None:
            return
        if executor.phase is ExecutorPhase.TERMINATING:
            self.apply(executor, CustomExecutorEvent.GRACE_OVER)
        elif executor.reconnecting and self._ctx.now.mono < executor.retry_until:
            self.await_reconnection(executor)
        elif executor.reconnecting or executor.explaining:
            self._overdue(executor, "")
        else:
            executor.explaining = True
            self._ctx.order(ExplainSilence(ref, executor.addresses))
            at = self._ctx.now.mono + limits.EXECUTOR_SILENCE_TIMEOUT
            self._ctx.timers.set(ExecutorTimer(ref), at)

    def await_reconnection(self, executor: CustomExecutor) -> None:
        """Ask a v0 executor to register again, and once more until it does."""
        self.channel.reconnect(executor)
        at = min(self._ctx.now.mono + limits.EXECUTOR_RECONNECT_INTERVAL, executor.retry_until)
        self._ctx.timers.set(ExecutorTimer(executor.ref), at)

    def silence_explained(self, fact: facts.SilenceExplained) -> None:
        executor = self.of(fact.ref)
        if executor is not None and executor.explaining:
            self._overdue(executor, fact.text)

    def _overdue(self, executor: CustomExecutor, why: str) -> None:
        if executor.phase is not ExecutorPhase.REGISTERING:
            return
        settings = self._ctx.settings
        framework = self._frameworks.table[executor.key.framework_id]
        if executor.reconnecting:
            timeout = settings.executor_reregistration_timeout
            executor.ended_by = executor_ends.not_back(framework, timeout)
        else:
            timeout = settings.executor_registration_timeout
            executor.ended_by = executor_ends.not_registered(timeout, why)
        self._ctx.notice(Level.ERROR, f"{executor}: {executor.ended_by.message}")
        self.apply(executor, CustomExecutorEvent.OVERDUE)

    # --- helpers ----------------------------------------------------------------------------

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

    def _needed(self, executor: CustomExecutor) -> Size:
        live = (task.info.resources for task in self.tasks_of(executor) if task.live)
        return Size.of(executor.info.resources, *live)

    def save(self, executor: CustomExecutor) -> None:
        record = SaveExecutor(executor.ref.container_id, executor.journal_value())
        self._ctx.record(record)


def _by_group(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """Single tasks, then task groups, each in the order of their launch."""
    groups: dict[int, list[Task]] = {}
    for task in tasks:
        if task.custom_group:
            groups.setdefault(task.custom_group, []).append(task)
        else:
            yield [task]
    yield from groups.values()


def _with_executor(task: Task, executor: CustomExecutor) -> TaskInfo:
    """The TaskInfo as the framework gave it: the agent keeps one ExecutorInfo for all tasks."""
    info = TaskInfo()
    info.CopyFrom(task.info)
    info.executor.CopyFrom(executor.info)
    return info
