"""Messages of the leading master, one handler each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from shim import limits
from shim.core import rejections, status
from shim.core.context import Context
from shim.core.draining import Draining
from shim.core.early_kills import EarlyKills
from shim.core.executor_launches import ExecutorLaunches
from shim.core.executors import Executors
from shim.core.frameworks import Framework, Frameworks
from shim.core.operations import Operations
from shim.core.registration import Registration, State
from shim.core.reservations import Reservations
from shim.core.shutdown import Mode, Shutdown
from shim.core.status import Report
from shim.core.status_updates import StatusUpdateManager
from shim.core.task_groups import TaskGroups, task_key
from shim.core.tasks import Tasks
from shim.core.volumes import PersistentVolumes
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, Pid, TaskId, TaskKey
from shim.model.orders import Level
from shim.model.states import TERMINAL
from shim.protos import messages_pb2
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import ExecutorInfo, TaskInfo

_REREGISTER_IF_IGNORED: frozenset[type[Message]] = frozenset(
    {
        messages_pb2.RunTaskMessage,
        messages_pb2.RunTaskGroupMessage,
        messages_pb2.KillTaskMessage,
        messages_pb2.ShutdownFrameworkMessage,
        messages_pb2.CheckpointResourcesMessage,
        messages_pb2.ApplyOperationMessage,
        messages_pb2.DrainSlaveMessage,
    }
)
"""The master never repeats these messages; an ignored one requires a re-registration.

Other messages need no re-registration when they are ignored: an acknowledgement follows every
repetition of its update, and each re-registration is followed by UpdateFrameworkMessages anyway.
"""


class MasterMessageHandler:
    """Pings are answered to any sender; other messages count only from the leading master."""

    def __init__(
        self,
        ctx: Context,
        tasks: Tasks,
        groups: TaskGroups,
        executors: Executors,
        frameworks: Frameworks,
        status_updates: StatusUpdateManager,
        registration: Registration,
        shutdown: Shutdown,
        draining: Draining,
        reservations: Reservations,
        operations: Operations,
        volumes: PersistentVolumes,
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._groups = groups
        self._executors = executors
        self._frameworks = frameworks
        self._status_updates = status_updates
        self._registration = registration
        self._shutdown = shutdown
        self._executor_launches = ExecutorLaunches(ctx, tasks, executors, reservations, volumes)
        self._reservations = reservations
        self._operations = operations
        self._early_kills = EarlyKills(ctx)
        self._warned: set[Pid] = set()
        """Foreign senders named in the log."""
        self._handlers: dict[type[Message], Callable[[Any], None]] = {
            messages_pb2.SlaveRegisteredMessage: self._registered,
            messages_pb2.SlaveReregisteredMessage: self._reregistered,
            messages_pb2.RunTaskMessage: self._run_task,
            messages_pb2.RunTaskGroupMessage: self._run_task_group,
            messages_pb2.KillTaskMessage: self._kill_task,
            messages_pb2.StatusUpdateAcknowledgementMessage: self._acknowledged,
            messages_pb2.ShutdownFrameworkMessage: self._shutdown_framework,
            messages_pb2.ShutdownExecutorMessage: self._shutdown_executor,
            messages_pb2.UpdateFrameworkMessage: self._update_framework,
            messages_pb2.CheckpointResourcesMessage: self._checkpoint_resources,
            messages_pb2.ApplyOperationMessage: self._apply_operation,
            messages_pb2.ReconcileOperationsMessage: self._operations.reconcile,
            messages_pb2.AcknowledgeOperationStatusMessage: self._operations.acknowledge,
            messages_pb2.DrainSlaveMessage: draining.begin,
            messages_pb2.ShutdownMessage: self._shutdown_agent,
        }

    def handle(self, sender: Pid, message: Message) -> None:
        """Apply a message, or count why it is ignored."""
        ctx = self._ctx
        if isinstance(message, messages_pb2.PingSlaveMessage):
            if not self._registration.ping_received(sender, message):
                self._link_broken()
            return
        if sender != ctx.master:
            ctx.counters["foreign_messages"] += 1
            self._warn_foreign_sender(sender, message)
            if ctx.master is None or ctx.agent_id is None:
                # The sender may lead again soon, and an agent without an id does not re-register.
                self._ignored(message)
            return
        handler = self._handlers.get(type(message))
        if handler is None or self._registration.state in (State.RECOVERING, State.ENDED):
            ctx.counters["unexpected_messages"] += 1
            self._ignored(message)
            return
        handler(message)

    def _ignored(self, message: Message) -> None:
        """The message had no effect here: schedule a re-registration if it needs one."""
        if type(message) in _REREGISTER_IF_IGNORED:
            self._registration.schedule_reregistration()

    def _warn_foreign_sender(self, sender: Pid, message: Message) -> None:
        """A master whose own address differs from the detected one would look silent."""
        if sender in self._warned or len(self._warned) >= limits.FOREIGN_SENDERS_LOGGED:
            return
        self._warned.add(sender)
        name = message.DESCRIPTOR.name
        text = f"ignoring {name} from {sender}: the leading master is {self._ctx.master}"
        self._ctx.notice(Level.WARNING, text)

    # --- registration ---------------------------------------------------------------------

    def _registered(self, message: messages_pb2.SlaveRegisteredMessage) -> None:
        already = self._ctx.connected
        self._registration.registered(message)
        if self._ctx.connected and not already:
            self._operations.registered()
            self._status_updates.resume()
            self._executors.exits.report_again()

    def _reregistered(self, message: messages_pb2.SlaveReregisteredMessage) -> None:
        if message.slave_id.value != self._ctx.agent_id:
            self._registration.reregistered(message)
            return
        already = self._ctx.connected
        self._registration.reregistered(message)
        if self._ctx.connected and not already:
            self._operations.registered()
            self._status_updates.resume()
            self._executors.exits.report_again()
        for reconciliation in message.reconciliations:
            self._reconcile(reconciliation)

    def _reconcile(self, message: messages_pb2.ReconcileTasksMessage) -> None:
        """The master has tasks that the agent did not report: reject those it does not know."""
        framework_id = FrameworkId(message.framework_id.value)
        if message.HasField("framework"):
            framework = self._frameworks.update(message.framework, self._pid_of(framework_id))
        elif framework_id in self._frameworks.table:
            framework = self._frameworks.table[framework_id]
        else:
            info = messages_pb2.ReconcileTasksMessage().framework
            info.user, info.name, info.id.value = "", "", framework_id
            info.checkpoint = True
            framework = self._frameworks.update(info, "")
        report = rejections.unknown_at_reconciliation(framework)
        for task in message.statuses:
            key = TaskKey(framework_id, TaskId(task.task_id.value))
            self._tasks.resume_updates(key)
            self._tasks.reporter.answer_for_unknown(framework, key, report)

    def _pid_of(self, framework_id: FrameworkId) -> str:
        known = self._frameworks.table.get(framework_id)
        return known.pid if known is not None else ""

    def _link_broken(self) -> None:
        """The master lost its link to the agent.

        It then gives up all tasks of frameworks without checkpointing.
        """
        if self._registration.state is not State.CONNECTED:
            return
        self._registration.disconnect("the master's link to this agent broke")
        for framework in list(self._frameworks.table.values()):
            if not framework.info.checkpoint:
                self._tasks.drop_framework(framework)

    def _shutdown_agent(self, message: messages_pb2.ShutdownMessage) -> None:
        if not self._registration.master_has_request:
            # A master sends it to a registered agent, or as its answer to a request.
            self._ctx.counters["unexpected_messages"] += 1
            return
        # "Agent has been marked gone": the master will not accept this agent id again.
        gone = "gone" in message.message
        self._ctx.counters["shutdowns"] += 1
        text = f"the master ordered a shutdown: {message.message or 'no reason given'}"
        self._shutdown.begin(Mode.MASTER_SHUTDOWN, text, forget=gone)

    # --- launches -------------------------------------------------------------------------

    def _run_task(self, message: messages_pb2.RunTaskMessage) -> None:
        info = message.task
        if info.slave_id.value != self._ctx.agent_id:
            self._misdirected()
            return
        framework = self._frameworks.update(message.framework, message.pid)
        key = TaskKey(FrameworkId(message.framework.id.value), TaskId(info.task_id.value))
        if key in self._tasks.table or self._status_updates.closed(key):
            self._tasks.resume_updates(key)
            self._ctx.counters["duplicate_launches"] += 1
            return
        self._allocate(framework, info.resources)
        killed = self._early_kills.pop(key)
        if info.HasField("executor"):
            self._run_in_executor(framework, message, killed=killed)
            return
        known = self._reservations.resources
        rejection = (
            self._killed_early(killed)
            or self._unavailable(framework)
            or self._too_large(info)
            or rejections.unsupported(framework, info, known)
        )
        if rejection is not None:
            self._tasks.reporter.reject(framework, key, rejection)
        else:
            self._tasks.accept(framework, key, info)

    def _run_in_executor(
        self, framework: Framework, message: messages_pb2.RunTaskMessage, *, killed: bool
    ) -> None:
        executor = message.task.executor
        self._allocate(framework, executor.resources)
        wanted = message.launch_executor if message.HasField("launch_executor") else None
        rejection = (
            self._killed_early(killed)
            or self._unavailable(framework)
            or self._too_large(message.task)
        )
        self._executor_launches.run(
            framework, executor, [message.task], rejection, grouped=False, launch_executor=wanted
        )

    @staticmethod
    def _killed_early(killed: bool) -> Report | None:
        text = "Killed before the launch arrived"
        return status.killed_during_launch(text) if killed else None

    def _too_large(self, info: TaskInfo) -> Report | None:
        problem = rejections.too_large(info, self._ctx.settings.max_task_bytes)
        return rejections.invalid_task(problem) if problem else None

    def _misdirected(self) -> None:
        """The launch names another agent id: it is ignored.

        An agent without an id may have missed the answer to its first registration.
        """
        self._ctx.counters["misdirected_launches"] += 1
        if self._ctx.agent_id is None:
            self._registration.schedule_reregistration()

    def _unavailable(self, framework: Framework) -> Report | None:
        """Why the agent takes no launches at present; None when it does."""
        if self._shutdown.in_progress:
            return rejections.unavailable(framework, "leaving")
        if self._tasks.drain is not None:
            return rejections.unavailable(framework, "already draining")
        return None

    @staticmethod
    def _allocate(framework: Framework, resources: Any) -> None:
        """Set the role in resources that lack it.

        Masters before 1.3 send resources without ``allocation_info``; later ones abort when a
        re-registration reports a task with such resources.
        """
        for resource in resources:
            if not resource.HasField("allocation_info"):
                resource.allocation_info.role = framework.info.role

    def _run_task_group(self, message: messages_pb2.RunTaskGroupMessage) -> None:
        tasks = message.task_group.tasks
        if not tasks or any(info.slave_id.value != self._ctx.agent_id for info in tasks):
            self._misdirected()
            return
        framework_id = FrameworkId(message.framework.id.value)
        framework = self._frameworks.update(message.framework, self._pid_of(framework_id))
        self._allocate(framework, message.executor.resources)
        killed = False
        for info in tasks:
            self._allocate(framework, info.resources)
            killed = self._early_kills.pop(task_key(framework_id, info)) or killed
        report = status.killed_in_queue() if killed else self._unavailable(framework)
        if message.executor.type == ExecutorInfo.CUSTOM:
            self._run_group_in_executor(framework, message, report)
        else:
            self._groups.launch(framework, message, report)

    def _run_group_in_executor(
        self,
        framework: Framework,
        message: messages_pb2.RunTaskGroupMessage,
        rejection: Report | None,
    ) -> None:
        framework_id, tasks = FrameworkId(framework.info.id.value), message.task_group.tasks
        keys = [task_key(framework_id, info) for info in tasks]
        executor_id = ExecutorId(message.executor.executor_id.value)
        if self._tasks.is_repeated(keys, ExecutorKey(framework_id, executor_id)):
            self._tasks.note_repetition(keys)
            return
        if rejection is None and (used := self._tasks.in_use(keys)) is not None:
            rejection = rejections.invalid_group(f"task_group: task_id {used!r} is in use")
        wanted = message.launch_executor if message.HasField("launch_executor") else None
        self._executor_launches.run(
            framework, message.executor, tasks, rejection, grouped=True, launch_executor=wanted
        )

    # --- kills and acknowledgements -------------------------------------------------------

    def _kill_task(self, message: messages_pb2.KillTaskMessage) -> None:
        framework_id = FrameworkId(message.framework_id.value)
        key = TaskKey(framework_id, TaskId(message.task_id.value))
        policy = message.kill_policy if message.HasField("kill_policy") else None
        task = self._tasks.table.get(key)
        if task is not None:
            self._tasks.kill(task, Cause.KILL, policy)
        elif framework_id not in self._frameworks.table:
            self._early_kills.add(key)
            self._registration.schedule_reregistration()
        else:
            framework = self._frameworks.table[framework_id]
            report = rejections.unknown_at_kill(framework)
            self._tasks.reporter.answer_for_unknown(framework, key, report)

    def _acknowledged(self, message: messages_pb2.StatusUpdateAcknowledgementMessage) -> None:
        if not self._ctx.connected:
            self._ctx.counters["acknowledgements_ignored"] += 1
            return
        key = TaskKey(FrameworkId(message.framework_id.value), TaskId(message.task_id.value))
        done = self._status_updates.acknowledge(key, message.uuid)
        if done is not None and done.update.status.state in TERMINAL:
            self._tasks.end_acknowledged(key, done)

    def _shutdown_framework(self, message: messages_pb2.ShutdownFrameworkMessage) -> None:
        if not self._ctx.connected:
            # As in Mesos: the master repeats it when the agent has re-registered.
            self._ctx.counters["unexpected_messages"] += 1
            self._ignored(message)
            return
        framework = self._frameworks.table.get(FrameworkId(message.framework_id.value))
        if framework is not None:
            self._tasks.drop_framework(framework)

    def _shutdown_executor(self, message: messages_pb2.ShutdownExecutorMessage) -> None:
        """Of a group, a custom executor, or a command task: its executor id is its task id."""
        framework_id, executor_id = message.framework_id.value, message.executor_id.value
        executor_key = ExecutorKey(FrameworkId(framework_id), ExecutorId(executor_id))
        if (executor := self._executors.get(executor_key)) is not None:
            self._groups.shut_down(executor)
            return
        custom = self._tasks.custom_executors
        if (custom_executor := custom.table.get(executor_key)) is not None:
            custom.shut_down(custom_executor, "the scheduler asks for it")
            return
        task = self._tasks.table.get(TaskKey(FrameworkId(framework_id), TaskId(executor_id)))
        if task is not None:
            self._tasks.kill(task, Cause.KILL, None)

    # --- frameworks and resources ---------------------------------------------------------

    def _update_framework(self, message: messages_pb2.UpdateFrameworkMessage) -> None:
        framework_id = FrameworkId(message.framework_id.value)
        known = self._frameworks.table.get(framework_id)
        if known is None or not self._ctx.connected:
            return
        info = message.framework_info if message.HasField("framework_info") else known.info
        self._frameworks.update(info, message.pid)
        self._status_updates.resume(sorted(known.task_keys))

    def _checkpoint_resources(self, message: messages_pb2.CheckpointResourcesMessage) -> None:
        if self._reservations.replace(message.resources) and not self._ctx.connected:
            # A request that is already on its way reports the earlier resources.
            self._registration.schedule_reregistration()

    def _apply_operation(self, message: messages_pb2.ApplyOperationMessage) -> None:
        if self._ctx.agent_id is None:
            self._misdirected()
        elif not self._operations.apply(message) or not self._ctx.connected:
            # The master applied it already: a re-registration reports what the agent has.
            self._registration.schedule_reregistration()
