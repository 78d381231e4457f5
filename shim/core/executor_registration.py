"""Registrations of custom executors: accepted, awaited, overdue.

A registration counts once the executor's container was seen running. An executor that registers
again after a restart of the agent says which tasks and updates it has, and is settled with the
agent's record of them. One that does not register in time is ended, and its end says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim import limits
from shim.core import executor_ends
from shim.core.context import Context
from shim.core.custom_executor import Contact, CustomExecutor, CustomExecutorEvent
from shim.core.executors import ExecutorPhase
from shim.core.frameworks import Framework, Frameworks
from shim.core.lifecycle import TaskPhase
from shim.core.tasks import Tasks
from shim.core.timers import ExecutorTimer
from shim.model.facts import SilenceExplained
from shim.model.orders import ExplainSilence, Level
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import TaskState

if TYPE_CHECKING:
    from shim.core.custom_executors import CustomExecutors


class ExecutorRegistration:
    def __init__(
        self, ctx: Context, tasks: Tasks, frameworks: Frameworks, executors: CustomExecutors
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._frameworks = frameworks
        self._executors = executors

    # --- registrations ------------------------------------------------------------------------

    def register(self, executor: CustomExecutor, contact: Contact) -> None:
        """The executor registered or subscribed. It waits until its container was seen running."""
        if contact.stream is not None and executor.authenticated and not contact.authenticated:
            self._turn_away(executor, contact, "which has shown its token")
        elif executor.phase is ExecutorPhase.REGISTERING and not executor.started:
            self._wait(executor, contact)
        elif self._is_of(executor, contact):
            self._executors.apply(executor, CustomExecutorEvent.REGISTERED, contact)

    def _wait(self, executor: CustomExecutor, contact: Contact) -> None:
        """Of one address the first v0 executor counts, and the last subscription of a v1 one."""
        executor.authenticated |= contact.authenticated
        sender = "" if contact.pid is None else contact.pid.ip
        earlier = executor.waiting.get(sender)
        if earlier is None and len(executor.waiting) >= limits.EXECUTOR_CONTACTS:
            self._turn_away(executor, contact, "for which too many have registered")
        elif earlier is None or earlier.pid == contact.pid:
            executor.waiting[sender] = contact
            if earlier is not None and earlier.stream is not None:
                self._executors.channel.turn_away(earlier)
        else:
            self._turn_away(executor, contact, f"as {earlier.pid} did before it")

    def _is_of(self, executor: CustomExecutor, contact: Contact) -> bool:
        """A v0 executor proves itself by its address, which has to be its container's."""
        known = executor.addresses
        if contact.pid is None or not known:
            return True
        if contact.pid.ip in known or contact.pid.ip == self._ctx.settings.engine_ip:
            return True
        self._turn_away(executor, contact, f"whose container is at {', '.join(known)}")
        return False

    def _turn_away(self, executor: CustomExecutor, contact: Contact, why: str) -> None:
        who = contact.pid or "a process without a token"
        self._ctx.notice(Level.WARNING, f"{who} registers as {executor}, {why}: turned away")
        self._ctx.counters["false_executors"] += 1
        self._executors.channel.turn_away(contact)

    def welcome(self, executor: CustomExecutor, detail: object) -> None:
        """The registration is accepted. ``detail`` is the Contact."""
        assert isinstance(detail, Contact)
        executors = self._executors
        framework = self._frameworks.table[executor.key.framework_id]
        executors.channel.end_stream(executor)
        executor.stream, executor.pid = detail.stream, detail.pid
        executor.subscribed = detail.stream is not None
        executor.authenticated |= detail.authenticated
        executor.reconnecting = False
        self._ctx.timers.cancel(ExecutorTimer(executor.ref))
        executors.save(executor)
        if not executor.used and not any(task.live for task in executors.tasks_of(executor)):
            executors.shut_down(executor, "it has no task to run")
            return
        executors.channel.registered(executor, framework, detail)
        self._settle(executor, framework, detail)
        for task in executors.tasks_of(executor):
            if task.phase is TaskPhase.DELIVERED and task.cause != Cause.NONE:
                executors.channel.kill(executor, task.ref, None)
        executors.delivery.advance(executor)

    def _settle(self, executor: CustomExecutor, framework: Framework, contact: Contact) -> None:
        """Apply the updates that the agent missed; end tasks that never reached the executor."""
        for update in contact.updates:
            self._executors.updates.receive(executor, update)
        for task in self._executors.tasks_of(executor):
            lost = task.phase is TaskPhase.DELIVERED and task.wire.state == TaskState.TASK_STAGING
            if lost and task.key.task_id not in contact.tasks:
                self._tasks.finish(task, executor_ends.never_arrived(framework))

    def turn_away(self, executor: CustomExecutor, detail: object) -> None:
        """The executor is ending. ``detail`` is the Contact."""
        assert isinstance(detail, Contact)
        self._ctx.notice(Level.WARNING, f"{executor} registers while it is ending: turned away")
        self._executors.channel.turn_away(detail)

    def turn_away_waiting(self, executor: CustomExecutor) -> None:
        """Who registered before the container was seen running is not accepted."""
        for contact in executor.waiting.values():
            self._executors.channel.turn_away(contact)
        executor.waiting.clear()

    # --- timeouts -----------------------------------------------------------------------------

    def await_registration(self, executor: CustomExecutor) -> None:
        """Start the timer of ``--executor_registration_timeout``, or go on if it has come first."""
        at = self._ctx.now.mono + self._ctx.settings.executor_registration_timeout
        self._ctx.timers.set(ExecutorTimer(executor.ref), at)
        for sender, contact in list(executor.waiting.items()):
            del executor.waiting[sender]
            if self._is_of(executor, contact):
                self._executors.apply(executor, CustomExecutorEvent.REGISTERED, contact)
                break
        self.turn_away_waiting(executor)

    def await_reconnection(self, executor: CustomExecutor) -> None:
        """Ask a v0 executor to register again, and once more until it does."""
        self._executors.channel.reconnect(executor)
        at = min(self._ctx.now.mono + limits.EXECUTOR_RECONNECT_INTERVAL, executor.retry_until)
        self._ctx.timers.set(ExecutorTimer(executor.ref), at)

    def timer_fired(self, executor: CustomExecutor) -> None:
        """Ask again while there is time; else find out why it is silent, and end it."""
        if executor.reconnecting and self._ctx.now.mono < executor.retry_until:
            self.await_reconnection(executor)
        elif executor.reconnecting or executor.explaining:
            self._overdue(executor, "")
        else:
            executor.explaining = True
            self._ctx.order(ExplainSilence(executor.ref, executor.addresses))
            at = self._ctx.now.mono + limits.EXECUTOR_SILENCE_TIMEOUT
            self._ctx.timers.set(ExecutorTimer(executor.ref), at)

    def silence_explained(self, fact: SilenceExplained) -> None:
        executor = self._executors.of(fact.ref)
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
        self._executors.apply(executor, CustomExecutorEvent.OVERDUE)
