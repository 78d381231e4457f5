"""Task groups and the default executors that run them.

The tables of :mod:`shim.core.default_executor` say which action an event leads to; the actions are
here. What happens to a single task of a group is the business of :class:`shim.core.tasks.Tasks`,
which notes each such task in ``changed_members``. :meth:`TaskGroups.advance` then draws, within the
same decision, the conclusions for its group and its executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from shim.core import rejections, status
from shim.core.context import Context
from shim.core.default_executor import (
    ExecutorAction,
    ExecutorEvent,
    Group,
    GroupAction,
    GroupEvent,
    GroupPhase,
    executor_step,
    group_step,
)
from shim.core.executors import Executor, ExecutorPhase, Executors
from shim.core.frameworks import Framework
from shim.core.group_admission import GroupAdmission
from shim.core.lifecycle import Event, TaskPhase
from shim.core.reservations import Reservations
from shim.core.status import Report
from shim.core.task import Task
from shim.core.tasks import Tasks
from shim.core.volumes import PersistentVolumes
from shim.model import facts
from shim.model.container import Container, Phase, Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey
from shim.model.orders import AllowCreate, CancelLaunch, LaunchExecutor, Watch
from shim.protos import journal_pb2
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import ExecutorInfo, TaskInfo, TaskState
from shim.protos.messages_pb2 import RunTaskGroupMessage


class TaskGroups:
    def __init__(
        self,
        ctx: Context,
        tasks: Tasks,
        executors: Executors,
        reservations: Reservations,
        volumes: PersistentVolumes,
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._executors = executors
        self._volumes = volumes
        self._admission = GroupAdmission(ctx, tasks, reservations, volumes)
        self._executor_actions: dict[ExecutorAction, Callable[[Executor, object], None]] = {
            ExecutorAction.IGNORE: self._ignore,
            ExecutorAction.ALLOW_CREATE: self._allow_create,
            ExecutorAction.DELIVER: self._deliver,
            ExecutorAction.FAIL: self._fail,
            ExecutorAction.ABANDON: self._abandon,
            ExecutorAction.KILL: self._kill_all,
            ExecutorAction.REMOVE: self._remove,
        }
        self._group_actions: dict[GroupAction, Callable[[Group], None]] = {
            GroupAction.IGNORE: lambda group: None,
            GroupAction.START: self._start,
            GroupAction.RELEASE: self._release,
            GroupAction.KILL_REST: self._kill_rest,
        }

    # --- launches -------------------------------------------------------------------------

    def launch(
        self, framework: Framework, message: RunTaskGroupMessage, unavailable: Report | None
    ) -> None:
        """Accept or reject a whole group. ``unavailable`` is why the agent takes no launches now.

        Resources must have their roles.
        """
        framework_id = FrameworkId(message.framework.id.value)
        key = ExecutorKey(framework_id, ExecutorId(message.executor.executor_id.value))
        infos = {task_key(framework_id, info): info for info in message.task_group.tasks}
        if self._tasks.is_repeated(infos, key):
            self._tasks.note_repetition(infos)
            return
        known_executor = self._executors.get(key)
        report = unavailable or self._admission.rejection(framework, message, infos, known_executor)
        if report is None:
            report = self._executor_rejection(framework, message, known_executor)
        if report is None:
            self._accept(framework, message.executor, infos, known_executor)
            return
        for rejected in infos:
            self._tasks.reporter.reject(framework, rejected, report, key.executor_id)
        custom = self._tasks.custom_executors.table.get(key)
        if custom is not None and custom.live:
            return  # Its exit is told when it has ended.
        if known_executor is None and _launches_executor(message):
            self._executors.send_exited(key)

    def _executor_rejection(
        self, framework: Framework, message: RunTaskGroupMessage, executor: Executor | None
    ) -> Report | None:
        """The executor that the master has in mind must be the one that is here."""
        if executor is None:
            if message.HasField("launch_executor") and not message.launch_executor:
                text = "No executor is expected to launch and there is none running"
                return rejections.executor_terminated(framework, text)
            return None
        if message.HasField("launch_executor") and message.launch_executor:
            # The master does not know of the executor here, and nothing else would end it.
            if executor.phase is ExecutorPhase.TERMINATED:
                self._executors.send_exited(executor.key)
            else:
                self.shut_down(executor)
            text = "Master wants to launch executor, but one already exists"
            return rejections.executor_terminated(framework, text)
        if executor.phase in (ExecutorPhase.TERMINATING, ExecutorPhase.TERMINATED):
            return rejections.executor_terminated(framework, f"Executor {executor.phase.value}")
        return None

    def _accept(
        self,
        framework: Framework,
        info: ExecutorInfo,
        infos: Mapping[TaskKey, TaskInfo],
        executor: Executor | None,
    ) -> None:
        launched = executor is None
        if executor is None:
            framework_id = FrameworkId(framework.info.id.value)
            has_infra = self._admission.has_infra(info)
            executor = self._executors.add(info, framework_id, has_container=has_infra)
            self._volumes.hold(executor.container_id, info.resources)
        executor.groups += 1
        group = Group(executor, executor.groups, GroupPhase.QUEUED, list(infos))
        self._executors.save(executor)
        for key, task_info in infos.items():
            executor.task_keys[key] = None
            self._tasks.add(framework, key, task_info, group)
        if executor.phase is ExecutorPhase.RUNNING:
            self._group_event(group, GroupEvent.DELIVERED)
        elif launched:
            self._launch_infra(executor, framework)
        # The tasks pull and fetch while the infra container is made.
        for task in self._members(group):
            self._ctx.order(self._tasks.launch_order(task))

    def _launch_infra(self, executor: Executor, framework: Framework) -> None:
        assert self._ctx.agent_id is not None
        resources = list(executor.info.resources)
        for task in self._tasks_of(executor):
            resources += task.info.resources
        self._ctx.order(
            LaunchExecutor(
                executor.ref,
                executor.info,
                framework.info,
                self._ctx.agent_id,
                tuple(resources),
                self._volumes.mounts(executor.info.resources, executor.container_id),
            )
        )

    # --- events ---------------------------------------------------------------------------

    def apply(self, ref: Ref, event: ExecutorEvent, detail: object = None) -> None:
        """Apply an event of an infra container. ``detail`` is the action's argument."""
        assert isinstance(ref.key, ExecutorKey)
        executor = self._executors.get(ref.key)
        if executor is None or executor.container_id != ref.container_id:
            self._ctx.counters["late_facts"] += 1
            return
        self._executor_event(executor, event, detail)

    def shut_down(self, executor: Executor) -> None:
        """Kill all tasks of the executor; take no more."""
        self._executor_event(executor, ExecutorEvent.SHUTDOWN)

    def note_unhealthy(self, task: Task) -> None:
        """The task is killed for its health check: the executor's later updates say so."""
        if task.group is not None and not task.group.executor.unhealthy:
            task.group.executor.unhealthy = True
            self._executors.save(task.group.executor)

    def advance(self) -> None:
        """Draw the conclusions from what happened to tasks of groups. Called after every fact."""
        while changed := self._tasks.changed_members:
            self._tasks.changed_members = []
            groups = dict.fromkeys(task.group for task in changed if task.group is not None)
            broken = {task.group for task in changed if _is_broken(task)}
            for group in groups:
                if group in broken:
                    self._group_event(group, GroupEvent.BROKEN)
                elif all(self._answered(group, key) for key in group.members):
                    self._group_event(group, GroupEvent.ANSWERED)
            for executor in dict.fromkeys(group.executor for group in groups):
                self._conclude(executor)

    def _conclude(self, executor: Executor) -> None:
        """An executor ends with its last task, and is forgotten with that task's last update."""
        if not any(task.live for task in self._tasks_of(executor)):
            self._executor_event(executor, ExecutorEvent.EMPTY)
        if not executor.task_keys and executor.key in self._executors:
            self._executors.drop(executor)

    def _answered(self, group: Group, key: TaskKey) -> bool:
        """Whether the launch of the task has had its outcome."""
        task = self._tasks.table.get(key)
        if task is None or key in group.ends:
            return True
        return not task.live or task.container_running

    def _executor_event(
        self, executor: Executor, event: ExecutorEvent, detail: object = None
    ) -> None:
        executor.phase, action = executor_step(executor.phase, event)
        self._executor_actions[action](executor, detail)

    def _group_event(self, group: Group, event: GroupEvent) -> None:
        group.phase, action = group_step(group.phase, event)
        self._group_actions[action](group)

    # --- actions of an executor -----------------------------------------------------------

    def _ignore(self, executor: Executor, detail: object) -> None:
        pass

    def _allow_create(self, executor: Executor, detail: object) -> None:
        # An infra container that is created twice does no harm: it was recorded at the launch.
        self._ctx.order(AllowCreate(executor.ref))

    def _deliver(self, executor: Executor, detail: object) -> None:
        assert isinstance(detail, Container)
        executor.addresses = detail.addresses
        self._executors.save(executor)
        for group in dict.fromkeys(task.group for task in self._tasks_of(executor)):
            assert group is not None
            self._group_event(group, GroupEvent.DELIVERED)

    def _fail(self, executor: Executor, detail: object) -> None:
        assert isinstance(detail, facts.LaunchFailed)
        executor.exit_status = -1
        self._executors.save(executor)
        for task in self._tasks_of(executor):
            if task.live:
                report = status.launch_failed(detail.failure, detail.message)
                self._tasks.finish(task, report)

    def _abandon(self, executor: Executor, detail: object) -> None:
        """``detail`` is the fact about the infra container; None at a shutdown.

        The containers of the tasks run on. A task is reported as ended when its container has.
        """
        why = ""
        if isinstance(detail, facts.ContainerExited):
            executor.exit_status = -1 if detail.exit_code is None else detail.exit_code << 8
            why = status.INFRA_GONE
        elif isinstance(detail, facts.ContainerVanished):
            executor.exit_status = -1
            why = status.INFRA_GONE
        self._executors.save(executor)
        for task in self._tasks_of(executor):
            if task.queued and task.live:
                self._tasks.finish(task, status.executor_terminated(why))
            else:
                self._tasks.kill(task, Cause.EXECUTOR_TERMINATED, None)

    def _kill_all(self, executor: Executor, detail: object) -> None:
        self._executors.save(executor)
        for task in self._tasks_of(executor):
            self._tasks.kill_with_group(task)

    def _remove(self, executor: Executor, detail: object) -> None:
        """The removal takes the executor's volumes, so it is due without a container as well."""
        self._executors.save(executor)
        if executor.has_container:
            self._ctx.order(CancelLaunch(executor.ref))
        self._tasks.pending_removals.add(executor.ref, delay=0.0)

    # --- actions of a group ---------------------------------------------------------------

    def _start(self, group: Group) -> None:
        members = list(self._members(group))
        for task in members:
            self._tasks.reporter.report(task, status.starting())
        due, group.creates_due = set(group.creates_due), []
        for task in members:
            if task.key in due and task.key not in group.ends:
                self._tasks.step(task, Event.CREATING)
        # All launches may have failed already.
        self._tasks.changed_members += members

    def _release(self, group: Group) -> None:
        for task in self._members(group):
            self._tasks.step(task, Event.RELEASED)
        ends, group.ends = group.ends, {}
        for task in self._members(group):
            if task.key in ends:
                self._tasks.step(task, *ends[task.key])

    def _kill_rest(self, group: Group) -> None:
        for task in self._members(group):
            if task.cause == Cause.NONE:
                self._tasks.kill_with_group(task)

    # --- after a restart ------------------------------------------------------------------

    def group_of(self) -> Callable[[TaskKey, journal_pb2.TaskState], Group | None]:
        """For the restored tasks of :meth:`Tasks.restore`, oldest first: their groups."""
        groups: dict[tuple[ExecutorKey, int], Group] = {}

        def found(key: TaskKey, saved: journal_pb2.TaskState) -> Group | None:
            if not saved.group:
                return None
            executor_key = ExecutorKey(key.framework_id, ExecutorId(saved.executor_id))
            executor = self._executors[executor_key]
            queued = executor.phase is ExecutorPhase.REGISTERING
            phase = GroupPhase.QUEUED if queued else GroupPhase.RUNNING
            group = groups.setdefault(
                (executor_key, saved.group), Group(executor, saved.group, phase)
            )
            group.members.append(key)
            executor.task_keys[key] = None
            launching = saved.cause == Cause.NONE and saved.phase in _LAUNCHING
            if group.phase is GroupPhase.RUNNING and launching:
                group.phase = GroupPhase.LAUNCHING
            return group

        return found

    def reconcile(self, found: Mapping[ContainerId, Container]) -> None:
        """Compare every executor with its infra container, before the tasks are compared."""
        for executor in list(self._executors.values()):
            if executor.info.type == ExecutorInfo.DEFAULT and executor.has_container:
                self._resume(executor, found.get(executor.container_id))
        # A group of which nothing is left to happen would wait for ever.
        self._tasks.changed_members += [t for t in self._tasks.table.values() if t.group]

    def _resume(self, executor: Executor, container: Container | None) -> None:
        if executor.phase is ExecutorPhase.TERMINATED:
            return
        if container is not None and container.phase is Phase.RUNNING:
            self._ctx.order(Watch(executor.ref))
            self._executor_event(executor, ExecutorEvent.STARTED, container)
        elif container is not None and container.phase is Phase.EXITED:
            exited = facts.ContainerExited(
                executor.ref, container.exit_code, container.oom_killed, container.error
            )
            self._executor_event(executor, ExecutorEvent.EXITED, exited)
        elif executor.phase is ExecutorPhase.REGISTERING:
            self._launch_infra(executor, self._tasks.framework_of(executor.key.framework_id))
        else:
            vanished = facts.ContainerVanished(executor.ref)
            self._executor_event(executor, ExecutorEvent.VANISHED, vanished)

    # --- helpers --------------------------------------------------------------------------

    def _tasks_of(self, executor: Executor) -> list[Task]:
        return [self._tasks.table[key] for key in executor.task_keys]

    def _members(self, group: Group) -> Iterator[Task]:
        """Those that live, in the order of the group."""
        for key in group.members:
            task = self._tasks.table.get(key)
            if task is not None and task.live and task.group is group:
                yield task


_LAUNCHING = {phase.value for phase in (TaskPhase.STAGING, TaskPhase.STARTING, TaskPhase.LAUNCHED)}


def task_key(framework_id: FrameworkId, info: TaskInfo) -> TaskKey:
    return TaskKey(framework_id, TaskId(info.task_id.value))


def _launches_executor(message: RunTaskGroupMessage) -> bool:
    """Whether the master booked the executor for this launch. Old masters do not say."""
    return message.launch_executor if message.HasField("launch_executor") else True


def _is_broken(task: Task) -> bool:
    return not task.live and task.wire.state != TaskState.TASK_FINISHED
