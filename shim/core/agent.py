"""The core: one fact in, one decision out.

``Core.handle(fact, now)`` changes the agent's state in memory and answers with the records that
must be durable first and the orders to be carried out then. It never waits, never fails on what
a peer sends, and reads neither clock nor chance but through its arguments. The state after any
crash is :class:`~shim.model.records.Snapshot` again, brought up to date by one look at the
endpoint (:class:`~shim.model.facts.ContainersFound`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shim.core.context import Context, Decision, Entropy, Now, Settings
from shim.core.draining import Draining
from shim.core.frameworks import Frameworks
from shim.core.lifecycle import Event
from shim.core.master_messages import MasterMessageHandler
from shim.core.recovery import Recovery
from shim.core.registration import Registration, State
from shim.core.shutdown import Mode, Shutdown
from shim.core.status_updates import StatusUpdateManager
from shim.core.tasks import Tasks
from shim.core.view import AgentView
from shim.model import facts
from shim.model.container import Ref
from shim.model.ids import AgentId, FrameworkId, TaskKey
from shim.model.records import Snapshot
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import DrainConfig
from shim.protos.messages_pb2 import RegisterSlaveMessage, ReregisterSlaveMessage


class Core:
    """The agent's decisions. See the module's text."""

    def __init__(self, settings: Settings, entropy: Entropy, snapshot: Snapshot, now: Now) -> None:
        self.ctx = ctx = Context(settings, entropy, now)
        self.frameworks = Frameworks(ctx)
        self.streams = StatusUpdateManager(ctx)
        self.tasks = Tasks(ctx, self.frameworks, self.streams)
        self.registration = Registration(ctx, self._fill)
        self.departure = Shutdown(ctx, self.tasks, self.streams, self.registration)
        self.recovery = Recovery(ctx, self.tasks, self.frameworks)
        self.draining = Draining(ctx, self.tasks, self.frameworks)
        self.messages = MasterMessageHandler(
            ctx,
            self.tasks,
            self.frameworks,
            self.streams,
            self.registration,
            self.departure,
            self.draining,
        )
        self.view = AgentView(ctx, self.tasks, self.frameworks, self.streams, self.registration)
        self._restore(snapshot)
        self._leave_when_recovered = False
        self._facts: dict[type, Callable[[Any], None]] = {
            facts.MasterDetected: lambda f: self.registration.detected(f.pid),
            facts.MessageReceived: lambda f: self.messages.received(f.sender, f.message),
            facts.Authenticated: self.registration.authenticated,
            facts.AuthenticationFailed: self.registration.authentication_failed,
            facts.DeadlinePassed: lambda f: self._deadlines(),
            facts.LeaveRequested: lambda f: self._leave(),
            facts.ContainersFound: self._found,
            facts.LaunchAdvanced: self._advanced,
            facts.ContainerStarted: lambda f: self._task(f, Event.STARTED, f.container),
            facts.LaunchFailed: lambda f: self._task(f, Event.FAILED, f),
            facts.LaunchCancelled: lambda f: self._task(f, Event.CANCELLED),
            facts.ContainerExited: lambda f: self._task(f, Event.EXITED, f),
            facts.ContainerVanished: lambda f: self._task(f, Event.VANISHED),
            facts.ContainerRemoved: lambda f: self.tasks.doomed.removed(f.ref),
            facts.HealthReported: self._health,
            facts.CheckReported: lambda f: self._task(f, Event.REPORT, f),
        }

    def handle(self, fact: facts.Fact, now: Now) -> Decision:
        """What the fact leads to."""
        self.ctx.now = now
        self._facts[type(fact)](fact)
        self.draining.advance()
        self.departure.advance()
        return self.ctx.take()

    def deadline(self) -> float | None:
        """When DeadlinePassed is wanted next, in monotonic seconds."""
        return self.ctx.timers.next()

    # --- facts ----------------------------------------------------------------------------

    def _task(self, fact: Any, event: Event, what: object = None) -> None:
        self.tasks.happened(fact.ref, event, what)

    def _advanced(self, fact: facts.LaunchAdvanced) -> None:
        self.tasks.note_stage(fact)
        if fact.stage is facts.Stage.CREATING:
            self.tasks.happened(fact.ref, Event.CREATING)

    def _health(self, fact: facts.HealthReported) -> None:
        self.tasks.happened(fact.ref, Event.REPORT, fact)
        task = self.tasks.table.get(fact.ref.key)
        if task is None or task.ref != fact.ref:
            return
        if fact.kill and task.cause == journal_pb2.NONE:
            self.tasks.kill(task, journal_pb2.UNHEALTHY, None)

    def _leave(self) -> None:
        """What to kill is known once we have recovered."""
        if self.registration.state is State.RECOVERING:
            self._leave_when_recovered = True
        else:
            self.departure.begin(Mode.LEAVING, Mode.LEAVING.value, forget=True)

    def _found(self, fact: facts.ContainersFound) -> None:
        if self.registration.state is not State.RECOVERING:
            return
        self.recovery.match(fact.containers)
        if self.ctx.settings.cleanup:
            self.departure.begin(Mode.CLEANUP, Mode.CLEANUP.value, forget=True)
        else:
            self.registration.recovered()
        if self._leave_when_recovered:
            self._leave()

    def _deadlines(self) -> None:
        for key in self.ctx.timers.pop_due(self.ctx.now.mono):
            match key:
                case ("update", TaskKey() as task_key):
                    if not self.tasks.teller.give_up_refusal(task_key):
                        self.streams.retry(task_key)
                case ("expire", Ref() as ref):
                    self.tasks.expire(ref)
                case "register":
                    self.registration.ask()
                case "ping":
                    self.registration.ping_overdue()
                case "doubt":
                    self.registration.reconsider()
                case "silence":
                    self.registration.silent()

    # --- what a master must know ----------------------------------------------------------

    def _fill(self, request: RegisterSlaveMessage | ReregisterSlaveMessage) -> None:
        """Reservations and volumes outlive an agent id; tasks and frameworks belong to one.

        Reported is every task whose terminal update is not acknowledged.
        """
        request.checkpointed_resources.extend(self.tasks.checkpointed_resources)
        if isinstance(request, RegisterSlaveMessage):
            return
        used: dict[FrameworkId, None] = {}
        for key, task in self.tasks.table.items():
            if task.cause != journal_pb2.MUTED:
                request.tasks.append(task.wire)
                used[key.framework_id] = None
        request.frameworks.extend(self.frameworks.table[id_].info for id_ in used)

    # --- restart --------------------------------------------------------------------------

    def _restore(self, snapshot: Snapshot) -> None:
        kept = snapshot.meta
        self.frameworks.restore(snapshot.frameworks)
        if "agent" in kept:
            agent = journal_pb2.Agent.FromString(kept["agent"])
            self.ctx.agent_id = AgentId(agent.info.id.value)
            self.streams.restore(snapshot.updates)
            for key in snapshot.updates:
                self.frameworks.table[key.framework_id].keys.add(key)
            self.tasks.restore(snapshot.tasks)
        self.tasks.doomed.restore(kept)
        if "drain" in kept:
            self.tasks.drain = DrainConfig.FromString(kept["drain"])
        if "resources" in kept:
            kept_resources = journal_pb2.Resources.FromString(kept["resources"])
            self.tasks.checkpointed_resources = list(kept_resources.resources)
