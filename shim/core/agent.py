"""The core: one fact in, one decision out.

``Core.handle(fact, now)`` changes the agent's state in memory. It returns the records that must be
durable first, and the orders to be carried out then. It never waits and never fails on what a peer
sends. It reads the clock and draws random numbers only through its arguments.

After a crash, the state is rebuilt from a :class:`~shim.model.records.Snapshot` and one list of the
endpoint's containers (:class:`~shim.model.facts.ContainersFound`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

from shim.core.context import Context, CoreSettings, Decision, Entropy, Now
from shim.core.custom_executors import CustomExecutors
from shim.core.default_executor import ExecutorEvent
from shim.core.draining import Draining
from shim.core.executor_calls import ExecutorCalls
from shim.core.executor_recovery import ExecutorRecovery
from shim.core.executors import Executor, ExecutorPhase, Executors
from shim.core.frameworks import Frameworks
from shim.core.lifecycle import Event
from shim.core.master_messages import MasterMessageHandler
from shim.core.operations import Operations
from shim.core.recovery import Recovery
from shim.core.registration import Registration, State
from shim.core.reservations import Reservations
from shim.core.shutdown import Mode, Shutdown
from shim.core.status_updates import StatusUpdateManager
from shim.core.task_groups import TaskGroups
from shim.core.tasks import Tasks
from shim.core.timers import (
    ExecutorTimer,
    ExitTimer,
    OperationRetry,
    RegistrationTimer,
    ShutdownTimer,
    TaskExpiry,
    Timer,
    UpdateRetry,
)
from shim.core.view import AgentView
from shim.core.volumes import PersistentVolumes
from shim.model import facts
from shim.model.container import Ref
from shim.model.ids import AgentId, FrameworkId, TaskKey
from shim.model.records import Snapshot
from shim.protos.journal_pb2 import Cause
from shim.protos.messages_pb2 import RegisterSlaveMessage, ReregisterSlaveMessage


class Core:
    """The agent's decisions. See the module's docstring."""

    def __init__(
        self, settings: CoreSettings, entropy: Entropy, snapshot: Snapshot, now: Now
    ) -> None:
        self.ctx = ctx = Context(settings, entropy, now)
        self.frameworks = Frameworks(ctx)
        self.status_updates = StatusUpdateManager(ctx)
        self.volumes = PersistentVolumes(ctx)
        self.reservations = Reservations(ctx, self.volumes)
        self.operations = Operations(ctx, self.reservations)
        self.tasks = Tasks(ctx, self.frameworks, self.status_updates, self.volumes)
        self.executors = Executors(ctx)
        self.groups = TaskGroups(ctx, self.tasks, self.executors, self.reservations, self.volumes)
        self.registration = Registration(
            ctx, self._add_agent_state, lambda: len(self.status_updates) + len(self.operations) > 0
        )
        self.shutdown = Shutdown(
            ctx, self.tasks, self.status_updates, self.registration, self.operations
        )
        self.custom_executors = CustomExecutors(
            ctx, self.tasks, self.executors, self.frameworks, self.volumes
        )
        self.executor_calls = ExecutorCalls(ctx, self.custom_executors, self.frameworks)
        self.executor_recovery = ExecutorRecovery(ctx, self.custom_executors, self.frameworks)
        self.recovery = Recovery(
            ctx,
            self.tasks,
            self.groups,
            self.executors,
            self.frameworks,
            self.executor_recovery,
        )
        self.draining = Draining(ctx, self.tasks, self.frameworks, self.operations)
        self.master_messages = MasterMessageHandler(
            ctx,
            self.tasks,
            self.groups,
            self.executors,
            self.frameworks,
            self.status_updates,
            self.registration,
            self.shutdown,
            self.draining,
            self.reservations,
            self.operations,
            self.volumes,
        )
        self.view = AgentView(
            ctx,
            self.tasks,
            self.executors,
            self.frameworks,
            self.status_updates,
            self.registration,
            self.reservations,
            self.volumes,
            self.operations,
        )
        """What pages and metrics may read."""
        self._restore(snapshot)
        self._leave_when_recovered = False
        self._handlers = self._fact_handlers()

    def _fact_handlers(self) -> dict[type, Callable[[Any], None]]:
        return {
            facts.MasterDetected: lambda f: self.registration.detected(f.pid),
            facts.MessageReceived: self._message_received,
            facts.LinkBroke: self.executors.exits.link_broke,
            facts.ExecutorCalled: self.executor_calls.called,
            facts.SilenceExplained: self.custom_executors.registration.silence_explained,
            facts.Authenticated: self.registration.authenticated,
            facts.AuthenticationFailed: self.registration.authentication_failed,
            facts.DeadlinePassed: lambda f: self._deadline_passed(),
            facts.LeaveRequested: lambda f: self._leave(),
            facts.ContainersFound: self._containers_found,
            facts.LaunchAdvanced: self._launch_advanced,
            facts.ContainerStarted: lambda f: self._apply(f.ref, Event.STARTED, f.container),
            facts.LaunchFailed: lambda f: self._apply(f.ref, Event.FAILED, f),
            facts.LaunchCancelled: lambda f: self._apply(f.ref, Event.CANCELLED),
            facts.ContainerExited: lambda f: self._apply(f.ref, Event.EXITED, f),
            facts.ContainerVanished: lambda f: self._apply(f.ref, Event.VANISHED, f),
            facts.ContainerUpdated: self.custom_executors.delivery.container_updated,
            facts.ContainerRemoved: self._container_removed,
            facts.VolumesFound: lambda f: self.volumes.report_unknown(f.volumes),
            facts.VolumeRemoved: lambda f: self.volumes.removed(f.name),
            facts.HealthReported: self._health_reported,
            facts.CheckReported: lambda f: self.tasks.apply(f.ref, Event.REPORT, f),
        }

    def handle(self, fact: facts.Fact, now: Now) -> Decision:
        """Apply the fact; return what must be recorded and done."""
        self.ctx.now = now
        self._handlers[type(fact)](fact)
        self.groups.advance()
        self.draining.advance()
        self.shutdown.advance()
        # A shutdown that is over has dropped all tasks.
        self.groups.advance()
        return self.ctx.take()

    def deadline(self) -> float | None:
        """When the next DeadlinePassed is due, in monotonic seconds; None: no timer is set."""
        return self.ctx.timers.next_due()

    # --- facts ----------------------------------------------------------------------------

    def _message_received(self, fact: facts.MessageReceived) -> None:
        if self.executor_calls.takes(fact.message):
            self.executor_calls.handle(fact.sender, fact.message)
        else:
            self.master_messages.handle(fact.sender, fact.message)

    def _apply(self, ref: Ref, event: Event, detail: object = None) -> None:
        """An event of a task's container, or of an executor's own."""
        if isinstance(ref.key, TaskKey):
            self.tasks.apply(ref, event, detail)
        elif ref.key in self.custom_executors.table:
            self.custom_executors.apply_to_container(ref, event, detail)
        else:
            self.groups.apply(ref, ExecutorEvent[event.name], detail)

    def _launch_advanced(self, fact: facts.LaunchAdvanced) -> None:
        if isinstance(fact.ref.key, TaskKey):
            self.tasks.set_launch_stage(fact)
        if fact.stage is facts.Stage.CREATING:
            self._apply(fact.ref, Event.CREATING)

    def _container_removed(self, fact: facts.ContainerRemoved) -> None:
        self.tasks.pending_removals.removed(fact.ref)
        self.volumes.release(fact.ref.container_id)

    def _health_reported(self, fact: facts.HealthReported) -> None:
        self.tasks.apply(fact.ref, Event.REPORT, fact)
        task = self.tasks.table.get(fact.ref.task_key)
        if task is None or task.ref != fact.ref:
            return
        if fact.kill and task.cause == Cause.NONE:
            self.groups.note_unhealthy(task)
            self.tasks.kill(task, Cause.UNHEALTHY, None)

    def _leave(self) -> None:
        """Kill all tasks and unregister. Which tasks there are is known only after recovery."""
        if self.registration.state is State.RECOVERING:
            self._leave_when_recovered = True
        else:
            self.shutdown.begin(Mode.LEAVING, Mode.LEAVING.value, forget=True)

    def _containers_found(self, fact: facts.ContainersFound) -> None:
        if self.registration.state is not State.RECOVERING:
            self.recovery.remove_orphans(fact.containers)
            return
        self.recovery.reconcile(fact.containers)
        self.volumes.resume_removals()
        if self.ctx.settings.cleanup:
            self.shutdown.begin(Mode.CLEANUP, Mode.CLEANUP.value, forget=True)
        else:
            self.registration.start_round()
        if self._leave_when_recovered:
            self._leave()

    def _deadline_passed(self) -> None:
        for timer in self.ctx.timers.pop_due(self.ctx.now.mono):
            self._timer_fired(timer)

    def _timer_fired(self, timer: Timer) -> None:
        match timer:
            case UpdateRetry(key):
                if not self.tasks.reporter.expire_rejection(key):
                    self.status_updates.retry(key)
            case TaskExpiry(ref):
                self.tasks.expire(ref)
            case ExecutorTimer(ref):
                self.custom_executors.timer_fired(ref)
            case OperationRetry(uuid):
                self.operations.retry(uuid)
            case ExitTimer.RETRY:
                self.executors.exits.report_again()
            case RegistrationTimer.SEND_REQUEST:
                self.registration.send_request()
            case RegistrationTimer.NO_ANSWER:
                self.registration.warn_no_answer()
            case RegistrationTimer.PING_TIMEOUT:
                self.registration.ping_timed_out()
            case RegistrationTimer.REREGISTER:
                self.registration.reregister_now()
            case ShutdownTimer.ACKNOWLEDGEMENTS:
                pass  # handle() calls shutdown.advance(), which compares the time itself
            case _:
                assert_never(timer)

    # --- (re-)registration ----------------------------------------------------------------

    def _add_agent_state(self, request: RegisterSlaveMessage | ReregisterSlaveMessage) -> None:
        """Add to the request what the master must know of this agent.

        Reservations and volumes outlive an agent id, so both requests carry them. Tasks,
        executors and frameworks belong to one agent id. Every task is reported until its terminal
        update is acknowledged.
        """
        request.checkpointed_resources.extend(self.reservations.resources)
        if isinstance(request, RegisterSlaveMessage):
            return
        self.status_updates.acknowledged_ends.request_sent()
        if self.registration.all_answered:
            self.executors.exits.listed()
        reported: dict[FrameworkId, None] = {}
        executors: dict[Executor, None] = {}
        for key, task in self.tasks.table.items():
            if task.cause != Cause.WITHOUT_UPDATES:
                task.listed = True
                request.tasks.append(task.wire)
                reported[key.framework_id] = None
                if task.group is not None:
                    executors[task.group.executor] = None
        for executor_key, custom in self.custom_executors.table.items():
            if custom.live:
                request.executor_infos.append(custom.info)
                reported[executor_key.framework_id] = None
        request.frameworks.extend(self.frameworks.table[id_].info for id_ in reported)
        request.executor_infos.extend(
            e.info for e in executors if e.phase is not ExecutorPhase.TERMINATED
        )

    # --- restart --------------------------------------------------------------------------

    def _restore(self, snapshot: Snapshot) -> None:
        self.frameworks.restore(snapshot.frameworks)
        self.volumes.restore(snapshot.volumes, snapshot.resources.resources)
        self.reservations.restore(snapshot.resources.resources)
        self.registration.restore(snapshot)
        if snapshot.agent is not None:
            self.ctx.agent_id = AgentId(snapshot.agent.info.id.value)
            self.status_updates.restore(snapshot.updates)
            self.status_updates.acknowledged_ends.restore(snapshot.acknowledged_ends)
            for key in snapshot.updates:
                self.frameworks.table[key.framework_id].task_keys.add(key)
            self.executors.restore(snapshot.executors)
            self.executor_recovery.restore(snapshot.executors)
            self.tasks.restore(snapshot.tasks, self.groups.group_of())
            self.operations.restore(snapshot.operations)
            for executor in self.executors.values():
                if executor.phase is not ExecutorPhase.TERMINATED:
                    self.volumes.hold(executor.container_id, executor.info.resources)
            for custom in self.custom_executors.table.values():
                if custom.live:
                    self.volumes.hold(custom.ref.container_id, custom.info.resources)
                    self.volumes.hold_named(custom.ref.container_id, custom.volumes)
        self.tasks.pending_removals.restore(snapshot.pending_removals)
        self.tasks.drain = snapshot.drain
