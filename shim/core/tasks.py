"""All tasks of this agent: accepting them, applying events to them, ending them.

The table in :mod:`shim.core.lifecycle` says which action an event leads to; the actions are here.
Each action changes the task, records the change, reports a status update where the framework is to
know, and orders what is to be done.
"""

from __future__ import annotations

import uuid as uuidlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from shim import limits
from shim.core import status
from shim.core.context import Context
from shim.core.default_executor import (
    Group,
    GroupPhase,
    discovered_info,
    shares_network,
)
from shim.core.executors import Executor
from shim.core.frameworks import Framework, Frameworks
from shim.core.history import History
from shim.core.lifecycle import Action, Event, TaskPhase, step
from shim.core.pending_removals import PendingRemovals
from shim.core.status import Report
from shim.core.status_reporter import StatusReporter
from shim.core.status_updates import StatusUpdateManager
from shim.core.task import LaunchStep, Task
from shim.core.timers import TaskExpiry
from shim.core.volumes import PersistentVolumes
from shim.model import facts
from shim.model.container import Container, Ref
from shim.model.ids import ContainerId, ExecutorKey, FrameworkId, TaskKey
from shim.model.orders import (
    AllowCreate,
    CancelLaunch,
    Launch,
    MemberOf,
    Publish,
    StartChecks,
    Stop,
    StopChecks,
    Watch,
    Withdraw,
)
from shim.model.records import AddTask, DropTask
from shim.protos import journal_pb2
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import (
    DrainConfig,
    KillPolicy,
    TaskInfo,
    TaskState,
    TaskStatus,
)
from shim.protos.messages_pb2 import StatusUpdateMessage

if TYPE_CHECKING:
    from shim.core.custom_executors import CustomExecutors

_LAUNCH_PHASES = (TaskPhase.STAGING, TaskPhase.STARTING, TaskPhase.LAUNCHED)
"""Of a task whose launch, or whose group's launch, is under way."""

_NOT_ALL_LAUNCHED = (GroupPhase.QUEUED, GroupPhase.LAUNCHING)
"""Of a group: what happens to one of its tasks waits for the launches of the others."""

_WITHOUT_KILLING = (Cause.EXPIRED, Cause.WITHOUT_UPDATES, Cause.EXECUTOR_TERMINATED)
"""Causes of an end that TASK_KILLING does not announce."""


class Tasks:
    def __init__(
        self,
        ctx: Context,
        frameworks: Frameworks,
        status_updates: StatusUpdateManager,
        volumes: PersistentVolumes,
    ) -> None:
        self._ctx = ctx
        self._frameworks = frameworks
        self._volumes = volumes
        self._status_updates = status_updates
        self.history = History()
        self.table: dict[TaskKey, Task] = {}
        """Accepted tasks, oldest first, until their terminal update is acknowledged."""
        self.by_container: dict[ContainerId, Task] = {}
        """Those of :attr:`table` that have a container of their own."""
        self.changed_members: list[Task] = []
        """Tasks of groups that an event of this decision was about, for TaskGroups."""
        self.reporter = StatusReporter(ctx, frameworks, status_updates, self.table)
        self.pending_removals = PendingRemovals(ctx)
        self.custom_executors: CustomExecutors
        """They run the tasks in phases QUEUED and DELIVERED; set by themselves."""
        self.drain: DrainConfig | None = None
        """The drain under way."""
        self._actions: dict[Action, Callable[[Task, object], None]] = {
            Action.IGNORE: self._ignore,
            Action.BEGIN: self._begin,
            Action.ALLOW_CREATE: self._allow_create,
            Action.HOLD: self._hold,
            Action.RUN: self._run,
            Action.FAIL: self._fail,
            Action.END: self._end,
            Action.VANISH: self._vanish,
            Action.CANCEL: self._cancel,
            Action.CANCEL_AGAIN: self._cancel_again,
            Action.GIVE_UP: self._give_up,
            Action.STOP: self._stop,
            Action.STOP_LATE: self._stop_late,
            Action.STOP_AGAIN: self._stop_again,
            Action.REPORT: self._report,
            Action.KILL_INSIDE: self._kill_inside,
        }

    # --- launches -------------------------------------------------------------------------

    def accept(self, framework: Framework, key: TaskKey, info: TaskInfo) -> None:
        """Record the task and order its launch."""
        self._ctx.order(self.launch_order(self.add(framework, key, info)))

    def add(
        self, framework: Framework, key: TaskKey, info: TaskInfo, group: Group | None = None
    ) -> Task:
        """Record the task, under a new container id."""
        ctx = self._ctx
        assert ctx.agent_id is not None
        container_id = ContainerId(str(uuidlib.UUID(bytes=ctx.entropy.uuid())))
        task = Task.accept(key, info, ctx.agent_id, container_id, ctx.now.wall, group)
        self._register(framework, task)
        self.start_expiry_timer(task)
        self._volumes.hold(container_id, info.resources)
        return task

    def enqueue(
        self, framework: Framework, key: TaskKey, info: TaskInfo, executor: Ref, group: int
    ) -> None:
        """Record a task for a custom executor, which enforces ``max_completion_time`` itself.

        Its ref has the executor's container. ``group`` is 0 for a task without a group.
        """
        ctx = self._ctx
        assert ctx.agent_id is not None
        assert isinstance(executor.key, ExecutorKey)
        task = Task.accept(key, info, ctx.agent_id, executor.container_id, ctx.now.wall)
        task.phase = TaskPhase.QUEUED
        task.join(executor.key, group)
        self._register(framework, task)

    def _register(self, framework: Framework, task: Task) -> None:
        self._insert(task)
        framework.task_keys.add(task.key)
        info, state = task.info.SerializeToString(), task.journal_state()
        self._ctx.record(AddTask(task.key, info, state))

    def _insert(self, task: Task) -> None:
        self.table[task.key] = task
        if task.executor_key is None:
            self.by_container[task.ref.container_id] = task

    def launch_order(self, task: Task) -> Launch:
        assert self._ctx.agent_id is not None
        member = None if task.group is None else self._member_of(task.group.executor)
        volumes = self._volumes.mounts(task.info.resources, task.ref.container_id)
        return Launch(task.ref, task.info, self._ctx.agent_id, member, volumes=volumes)

    def _member_of(self, executor: Executor) -> MemberOf:
        tasks = (self.table[key] for key in executor.task_keys)
        return MemberOf(
            executor.ref,
            executor.info,
            executor.has_container,
            group=tuple((task.ref, task.info) for task in tasks),
            volumes=self._volumes.mounts(executor.info.resources, executor.container_id),
        )

    def start_expiry_timer(self, task: Task) -> None:
        """Start the timer of ``TaskInfo.max_completion_time``.

        It is counted from the acceptance, for a group's task from its TASK_RUNNING.
        """
        since = task.accepted if task.group is None else task.running_since
        if since is not None and task.info.HasField("max_completion_time"):
            left = since + task.info.max_completion_time.nanoseconds / 1e9
            at = self._ctx.now.mono + max(0.0, left - self._ctx.now.wall)
            self._ctx.timers.set(TaskExpiry(task.ref), at)

    def is_repeated(self, keys: Collection[TaskKey], executor: ExecutorKey) -> bool:
        """Whether a task group was launched, or rejected, before: the message came twice.

        A part of its tasks may be forgotten already. A framework may use the id of a task again,
        once the executor has ended.
        """
        known = [task for key in keys if (task := self.table.get(key)) is not None]
        same = any(task.belongs_to(executor) for task in known)
        return same or all(map(self._status_updates.closed, keys))

    def note_repetition(self, keys: Iterable[TaskKey]) -> None:
        """A launch came twice: the master has the tasks."""
        for key in keys:
            self.resume_updates(key)
        self._ctx.counters["duplicate_launches"] += 1

    def in_use(self, keys: Iterable[TaskKey]) -> str | None:
        """The id of the first task that is here, or whose end waits for an acknowledgement."""
        closed = self._status_updates.closed
        return next((key.task_id for key in keys if key in self.table or closed(key)), None)

    # --- events ---------------------------------------------------------------------------

    def apply(self, ref: Ref, event: Event, detail: object = None) -> None:
        """Apply an event of a container. ``detail`` is the action's argument.

        An event of another container of the same task is late: it is counted and ignored.
        """
        task = self.table.get(ref.task_key)
        if task is None or task.ref != ref:
            self._ctx.counters["late_facts"] += 1
            return
        if task.group is not None:
            self.changed_members.append(task)
            if task.group.phase in _NOT_ALL_LAUNCHED and task.phase in _LAUNCH_PHASES:
                if event in (Event.FAILED, Event.EXITED, Event.VANISHED):
                    task.group.ends.setdefault(task.key, (event, detail))
                    return
                if event is Event.CREATING and task.queued:
                    task.group.creates_due.append(task.key)
                    return
                if event is Event.STARTED:
                    event = Event.STARTED_EARLY
        self.step(task, event, detail)

    def step(self, task: Task, event: Event, detail: object = None) -> None:
        """Apply the event now, even one that would wait for the task's group."""
        task.phase, action = step(task.phase, event)
        self._actions[action](task, detail)

    def kill(
        self,
        task: Task,
        cause: Cause.ValueType,
        policy: KillPolicy | None,
        *,
        drained: bool = False,
    ) -> None:
        """End the task for ``cause``.

        The first cause is kept; only WITHOUT_UPDATES replaces an earlier cause.
        ``policy`` is the kill policy of the request. A later kill may change the grace period,
        that of a group's task only to a shorter one.
        """
        if not task.live:
            return
        repeated = task.cause != Cause.NONE
        if cause == Cause.WITHOUT_UPDATES or not repeated:
            task.cause = cause
        task.drained = task.drained or drained
        grace = self._grace(task, cause, policy)
        if task.group is not None and task.queued:
            self._end_queued(task.group, task)
        elif task.group is not None and task.key in task.group.ends:
            # Its container is gone already: there is nothing to kill.
            self.step(task, *task.group.ends.pop(task.key))
        elif task.group is None or not repeated or grace < task.grace:
            task.grace = grace
            self.apply(task.ref, Event.KILL, policy)
        else:
            self.reporter.save(task)

    def kill_with_group(self, task: Task) -> None:
        """The task's group or executor ends: kill the task with the grace of that end."""
        policy = KillPolicy()
        policy.grace_period.nanoseconds = int(limits.DEFAULT_EXECUTOR_GRACE * 1e9)
        self.kill(task, Cause.KILL, policy)

    def _end_queued(self, group: Group, killed: Task) -> None:
        """A task of a group that waits for its executor was killed: the group ends at once."""
        for key in group.members:
            task = self.table.get(key)
            if task is not None and task.live:
                if task.cause == Cause.NONE:
                    task.cause, task.drained = killed.cause, killed.drained
                self.finish(task, self.with_drain_reason(task, status.killed_in_queue()))

    def _grace(self, task: Task, cause: Cause.ValueType, policy: KillPolicy | None) -> float:
        """Seconds from the first signal to SIGKILL."""
        settings = self._ctx.settings
        if cause in (Cause.EXPIRED, Cause.EXECUTOR_TERMINATED):
            return 0.0
        grace = max(settings.shutdown_grace, settings.stop_timeout)
        if task.group is not None:
            grace = limits.DEFAULT_EXECUTOR_GRACE
            if cause == Cause.WITHOUT_UPDATES:
                # The framework's executors are shut down: the tasks' kill policies do not count.
                return grace
        for candidate in (policy, task.info.kill_policy):
            if candidate is not None and candidate.HasField("grace_period"):
                grace = max(0.0, candidate.grace_period.nanoseconds / 1e9)
                break
        if task.drained and self.drain is not None and self.drain.HasField("max_grace_period"):
            grace = min(grace, self.drain.max_grace_period.nanoseconds / 1e9)
        return grace

    def expire(self, ref: Ref) -> None:
        """The task's max_completion_time is over."""
        task = self.table.get(ref.task_key)
        if task is not None and task.ref == ref and task.cause == Cause.NONE:
            self.kill(task, Cause.EXPIRED, None)

    def set_launch_stage(self, fact: facts.LaunchAdvanced) -> None:
        """Note the step of the launch, for pages."""
        task, stage = self.table.get(fact.ref.task_key), fact.stage.value
        if task is None or task.ref != fact.ref:
            return
        task.stage = f"{stage} {fact.detail}".strip()
        began = self._ctx.now.wall
        if task.steps and task.steps[-1].stage == stage:
            began = task.steps.pop().began
        task.steps.append(LaunchStep(stage, began, fact.detail))
        del task.steps[: -limits.LAUNCH_STEPS]

    # --- actions --------------------------------------------------------------------------

    def _ignore(self, task: Task, detail: object) -> None:
        pass

    def _begin(self, task: Task, detail: object) -> None:
        """STARTING is durable before the create is sent: a restart then repeats no launch.

        TASK_STARTING of a group's task was reported when its group was delivered.
        """
        if task.group is None:
            self.reporter.report(task, status.starting())
        else:
            self.reporter.save(task)
        self._allow_create(task, detail)

    def _allow_create(self, task: Task, detail: object) -> None:
        self._ctx.order(AllowCreate(task.ref))

    def _hold(self, task: Task, detail: object) -> None:
        assert isinstance(detail, Container)
        self._note_addresses(task, detail)
        self.reporter.save(task)

    def _run(self, task: Task, detail: object) -> None:
        """``detail`` is the container; None for a group's task, whose container was seen before."""
        inspect = b""
        if task.group is None:
            assert isinstance(detail, Container)
            self._note_addresses(task, detail)
            inspect = detail.inspect
        else:
            task.running_since = self._ctx.now.wall
            self.start_expiry_timer(task)
        check = status.empty_check(task.info)
        if check is not None:
            task.check_status = check.SerializeToString()
        self.reporter.report(task, status.running(inspect, check))
        self._publish_and_check(task)

    def _note_addresses(self, task: Task, container: Container) -> None:
        """A container in the network of an infra container has the addresses of that one."""
        task.addresses = container.addresses
        if task.group is not None and shares_network(task.info):
            task.addresses = task.group.executor.addresses or container.addresses
        task.ports = container.ports

    def _publish(self, task: Task) -> None:
        info, shared = task.info, False
        if task.group is not None:
            shared = shares_network(info)
            info = discovered_info(info, task.group.executor)
        self._ctx.order(Publish(task.ref, info, task.addresses, task.healthy, task.ports, shared))

    def _publish_and_check(self, task: Task) -> None:
        self._publish(task)
        if task.info.HasField("health_check") or task.info.HasField("check"):
            self._ctx.order(
                StartChecks(task.ref, task.info, task.addresses, task.healthy is not None)
            )

    def _fail(self, task: Task, detail: object) -> None:
        assert isinstance(detail, facts.LaunchFailed)
        if task.group is not None:
            self.finish(task, status.command_not_launched(detail.message))
        else:
            self.finish(task, status.launch_failed(detail.failure, detail.message))

    def _end(self, task: Task, detail: object) -> None:
        assert isinstance(detail, facts.ContainerExited)
        exit_text, exited = status.exit_text, status.exited
        if task.group is not None:
            exit_text, exited = status.command_text, status.command_ended
        text = exit_text(detail.exit_code, detail.error)
        if task.cause == Cause.EXPIRED:
            self.finish(task, status.expired(text))
        elif task.cause == Cause.EXECUTOR_TERMINATED:
            self.finish(task, status.executor_terminated(status.INFRA_GONE))
        elif task.cause == Cause.NONE:
            oom, error = detail.oom_killed, detail.error
            self.finish(task, exited(task.info, detail.exit_code, oom_killed=oom, error=error))
        else:
            self.finish(task, self._kill_report(task, text))

    def _vanish(self, task: Task, detail: object) -> None:
        if task.cause == Cause.NONE:
            self.finish(task, status.vanished(task.ref.name))
        elif task.cause == Cause.EXPIRED:
            self.finish(task, status.expired("Container is gone"))
        elif task.cause == Cause.EXECUTOR_TERMINATED:
            self.finish(task, status.executor_terminated(status.INFRA_GONE))
        else:
            self.finish(task, self._kill_report(task, "Container is gone"))

    def _kill_report(self, task: Task, text: str) -> Report:
        report = status.killed(text, False if task.cause == Cause.UNHEALTHY else None)
        return self.with_drain_reason(task, report)

    def with_drain_reason(self, task: Task, kill: Report) -> Report:
        """The report, with the drain's state and reason if a drain ends the task."""
        if not task.drained:
            return kill
        framework = self._frameworks.table[task.key.framework_id]
        gone = self.drain is not None and self.drain.mark_gone and framework.partition_aware
        return status.drained(kill, gone=gone)

    def apply_drain(self, task: Task, reported: TaskStatus) -> None:
        """The same for a kill that a custom executor reports."""
        if task.drained and reported.state in (TaskState.TASK_KILLING, TaskState.TASK_KILLED):
            reported.state = self.with_drain_reason(task, Report(reported.state)).state
            reported.reason = status.Reason.REASON_SLAVE_DRAINING

    def _cancel(self, task: Task, detail: object) -> None:
        self.reporter.save(task)
        self._ctx.order(CancelLaunch(task.ref))

    def _cancel_again(self, task: Task, detail: object) -> None:
        """Record the new cause and grace period of a running cancellation."""
        self.reporter.save(task)

    def _give_up(self, task: Task, detail: object) -> None:
        if task.cause == Cause.EXPIRED:
            self.finish(task, status.expired("Given up before the container was started"))
        elif task.cause == Cause.EXECUTOR_TERMINATED:
            self.finish(task, status.executor_terminated(status.INFRA_GONE))
        else:
            report = status.killed_during_launch("Killed before the container was started")
            self.finish(task, self.with_drain_reason(task, report))

    def _stop(self, task: Task, detail: object) -> None:
        framework = self._frameworks.table[task.key.framework_id]
        if framework.wants_killing and task.cause not in _WITHOUT_KILLING:
            self.reporter.report(task, self.with_drain_reason(task, status.killing()))
        else:
            self.reporter.save(task)
        self._ctx.order(Withdraw(task.ref))
        self._ctx.order(StopChecks(task.ref))
        self._ctx.order(Stop(task.ref, task.grace))

    def _stop_late(self, task: Task, detail: object) -> None:
        """The container started before the cancellation: stop it."""
        assert isinstance(detail, Container)
        self._note_addresses(task, detail)
        self._stop(task, detail)

    def _stop_again(self, task: Task, detail: object) -> None:
        self.reporter.save(task)
        self._ctx.order(Stop(task.ref, task.grace))

    def _report(self, task: Task, detail: object) -> None:
        """After a restart of the agent the checks begin anew: what was reported is not news."""
        reason = status.Reason.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
        if isinstance(detail, facts.HealthReported):
            if detail.healthy and task.healthy:
                return
            task.healthy = detail.healthy
            self._publish(task)
        else:
            assert isinstance(detail, facts.CheckReported)
            if detail.status == task.check_status:
                return
            task.check_status = detail.status
            reason = status.Reason.REASON_TASK_CHECK_STATUS_UPDATED
        self.reporter.report(task, Report(TaskState.TASK_RUNNING, reason=reason))

    def _kill_inside(self, task: Task, detail: object) -> None:
        assert detail is None or isinstance(detail, KillPolicy)
        self.custom_executors.delivery.kill(task, detail)

    # --- ends -----------------------------------------------------------------------------

    def finish(self, task: Task, report: Report) -> None:
        """End the task: report its terminal state and have its container removed."""
        has_container = not task.inside_executor
        if task.queued:
            # Its launch prepares: it ends now, whenever the removal is due.
            self._ctx.order(CancelLaunch(task.ref))
        task.phase = TaskPhase.ENDED
        if task.group is not None:
            self.changed_members.append(task)
            if task.group.executor.unhealthy:
                report = replace(report, healthy=False)
        self.reporter.report(task, report)
        self._close(task, has_container=has_container)

    def finish_as_reported(self, task: Task, update: StatusUpdateMessage) -> None:
        """End a task of a custom executor with the executor's own terminal update."""
        task.phase = TaskPhase.ENDED
        self.reporter.forward(task, update)
        self._close(task, has_container=False)

    def _close(self, task: Task, *, has_container: bool) -> None:
        ctx = self._ctx
        ctx.timers.cancel(TaskExpiry(task.ref))
        framework = self._frameworks.table[task.key.framework_id]
        custom = None
        if task.executor_key is not None:
            custom = self.custom_executors.table.get(task.executor_key)
        self.history.add(task, framework.info, ctx.now.wall, custom)
        if has_container:
            ctx.order(Withdraw(task.ref))
            ctx.order(StopChecks(task.ref))
            self.pending_removals.add(task.ref)
        if task.executor_key is not None:
            self.custom_executors.services.withdraw(task)
            self.custom_executors.task_ended(task)
        if task.cause == Cause.WITHOUT_UPDATES:
            self.forget(task.key)

    def end_without_updates(self, task: Task) -> None:
        """End the task and drop its updates: no acknowledgement will come for them."""
        self._status_updates.drop(task.key)
        if task.live:
            self.kill(task, Cause.WITHOUT_UPDATES, None)
        else:
            self.forget(task.key)

    def resume_updates(self, key: TaskKey) -> None:
        """The master still knows the task: send it the terminal update after all."""
        task = self.table.get(key)
        if task is not None and task.cause == Cause.WITHOUT_UPDATES:
            task.cause = Cause.KILL
            self.reporter.save(task)

    def drop_framework(self, framework: Framework) -> None:
        """The framework is gone for the master: end its tasks and drop their updates."""
        for key in sorted(framework.task_keys):
            task = self.table.get(key)
            if task is not None:
                self.end_without_updates(task)
            else:
                self._status_updates.drop(key)
                self._frameworks.release(key)
        self.custom_executors.shut_down_framework(framework)

    def framework_of(self, framework_id: FrameworkId) -> Framework:
        """Of an accepted task or an executor."""
        return self._frameworks.table[framework_id]

    def drop_all_frameworks(self) -> None:
        """The agent id is given up: nothing of this id may be sent under another one."""
        for framework in list(self._frameworks.table.values()):
            self.drop_framework(framework)
        self._status_updates.acknowledged_ends.clear()

    def end_acknowledged(self, key: TaskKey, end: StatusUpdateMessage) -> None:
        """The task's terminal update was acknowledged: forget the task.

        ``end`` is kept if a re-registration request may list the task. A master asks about a
        rejected one only because of such a request.
        """
        task = self.table.get(key)
        if task is None or task.listed:
            self._status_updates.acknowledged_ends.add(key, end)
        self.forget(key)

    def forget(self, key: TaskKey) -> None:
        """Drop the task's record: no update about it is pending any more."""
        if (task := self.table.pop(key, None)) is not None:
            if task.executor_key is None:
                del self.by_container[task.ref.container_id]
            self._ctx.record(DropTask(key))
            if task.group is not None:
                del task.group.executor.task_keys[key]
                self.changed_members.append(task)
        self._frameworks.release(key)
        if task is not None and task.executor_key is not None:
            self.custom_executors.task_forgotten(task)

    # --- after a restart ------------------------------------------------------------------

    def restore(
        self,
        tasks: dict[TaskKey, tuple[bytes, bytes]],
        group_of: Callable[[TaskKey, journal_pb2.TaskState], Group | None],
    ) -> None:
        """``group_of`` finds the task group of a task."""
        assert self._ctx.agent_id is not None
        for key, (info, state) in tasks.items():
            task = Task.restore(key, self._ctx.agent_id, info, state, group_of)
            task.listed = True
            self._insert(task)
            if task.live:
                self._volumes.hold(task.ref.container_id, task.info.resources)
            self._frameworks.table[key.framework_id].task_keys.add(key)
            if task.executor_key is not None:
                self.custom_executors.restore_task(task.executor_key, key)

    def watch(self, task: Task) -> None:
        """Have the end of a running container observed."""
        self._ctx.order(Watch(task.ref))

    def resume(self, task: Task) -> None:
        """Continue with a task whose container runs, as before the restart."""
        if task.phase is TaskPhase.STOPPING:
            self._ctx.order(Stop(task.ref, task.grace))
        elif task.phase is TaskPhase.RUNNING:
            self._publish_and_check(task)
