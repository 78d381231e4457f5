"""Messages of custom executors, v0 and v1: who sends them, and what they lead to.

A v1 call has passed the checks of the HTTP API, its token among them. A v0 message counts only from
the pid that registered. Framework messages in both directions are unreliable: one that cannot be
delivered now is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from shim import limits
from shim.core.context import Context
from shim.core.custom_executor import Contact, CustomExecutor
from shim.core.custom_executors import CustomExecutors
from shim.core.executor_updates import from_v1
from shim.core.executors import ExecutorPhase
from shim.core.frameworks import Frameworks
from shim.model.facts import ExecutorCalled
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, Pid, TaskId
from shim.model.orders import Level
from shim.protos import messages_pb2
from shim.protos.executor_pb2 import Call


class ExecutorCalls:
    def __init__(self, ctx: Context, executors: CustomExecutors, frameworks: Frameworks) -> None:
        self._ctx = ctx
        self._executors = executors
        self._updates = executors.updates
        self._frameworks = frameworks
        self._handlers: dict[type[Message], Callable[[Pid, Any], None]] = {
            messages_pb2.RegisterExecutorMessage: self._register,
            messages_pb2.ReregisterExecutorMessage: self._reregister,
            messages_pb2.StatusUpdateMessage: self._status_update,
            messages_pb2.ExecutorToFrameworkMessage: self._executor_message,
            messages_pb2.FrameworkToExecutorMessage: lambda _, m: self.framework_message(m),
        }

    def takes(self, message: Message) -> bool:
        """Whether this is a message of an executor, or of a scheduler for an executor."""
        return type(message) in self._handlers

    def handle(self, sender: Pid, message: Message) -> None:
        size = len(message.SerializePartialToString())
        if size > limits.EXECUTOR_CALL_BYTES:
            self._ctx.counters["oversized_executor_messages"] += 1
            name = message.DESCRIPTOR.name
            self._ctx.notice(Level.WARNING, f"{name} of {sender} dropped: {size} bytes")
            return
        self._handlers[type(message)](sender, message)

    # --- v1 ---------------------------------------------------------------------------------

    def called(self, fact: ExecutorCalled) -> None:
        executor = self._executors.table.get(fact.key)
        call = fact.call
        if executor is None:
            # It ended after the call was checked.
            self._executors.channel.turn_away(Contact(stream=fact.stream))
        elif call.type == Call.SUBSCRIBE:
            self._executors.registration.register(executor, self._contact(executor, fact))
        elif executor.stream is None:
            self._ctx.counters["unexpected_messages"] += 1
        elif call.type == Call.UPDATE:
            now = self._ctx.now.wall
            self._updates.receive(executor, from_v1(executor, call.update.status, now))
        elif call.type == Call.MESSAGE:
            self._forward(executor, call.message.data)

    def _contact(self, executor: CustomExecutor, fact: ExecutorCalled) -> Contact:
        subscribe, now = fact.call.subscribe, self._ctx.now.wall
        return Contact(
            stream=fact.stream,
            authenticated=fact.authenticated,
            tasks=frozenset(TaskId(t.task_id.value) for t in subscribe.unacknowledged_tasks),
            updates=tuple(
                from_v1(executor, update.status, now) for update in subscribe.unacknowledged_updates
            ),
        )

    # --- v0 ---------------------------------------------------------------------------------

    def _register(self, sender: Pid, message: messages_pb2.RegisterExecutorMessage) -> None:
        executor = self._named(message.framework_id.value, message.executor_id.value)
        contact = Contact(pid=sender)
        unexpected = executor is not None and (
            executor.phase is ExecutorPhase.RUNNING or executor.reconnecting
        )
        if executor is None or unexpected:
            who = executor or f"unknown executor {message.executor_id.value}"
            text = f"{sender} registers as {who}, which is not expected: turned away"
            self._ctx.notice(Level.WARNING, text)
            self._executors.channel.turn_away(contact)
        else:
            self._executors.registration.register(executor, contact)

    def _reregister(self, sender: Pid, message: messages_pb2.ReregisterExecutorMessage) -> None:
        executor = self._named(message.framework_id.value, message.executor_id.value)
        contact = Contact(
            pid=sender,
            again=True,
            tasks=frozenset(TaskId(task.task_id.value) for task in message.tasks),
            updates=tuple(message.updates),
        )
        if executor is None:
            self._executors.channel.turn_away(contact)
        elif executor.phase is ExecutorPhase.RUNNING:
            # The answer to a repeated ReconnectExecutorMessage.
            if executor.pid != sender:
                self._executors.channel.turn_away(contact)
        else:
            self._executors.registration.register(executor, contact)

    def _status_update(self, sender: Pid, message: messages_pb2.StatusUpdateMessage) -> None:
        update = message.update
        executor = self._registered(sender, update.framework_id.value, update.executor_id.value)
        if executor is None:
            self._ctx.counters["invalid_status_updates"] += 1
        else:
            self._updates.receive(executor, update)

    def _executor_message(
        self, sender: Pid, message: messages_pb2.ExecutorToFrameworkMessage
    ) -> None:
        executor = self._registered(sender, message.framework_id.value, message.executor_id.value)
        if executor is None:
            self._ctx.counters["invalid_framework_messages"] += 1
        else:
            self._forward(executor, message.data)

    def _named(self, framework_id: str, executor_id: str) -> CustomExecutor | None:
        key = ExecutorKey(FrameworkId(framework_id), ExecutorId(executor_id))
        return self._executors.table.get(key)

    def _registered(
        self, sender: Pid, framework_id: str, executor_id: str
    ) -> CustomExecutor | None:
        """The executor that registered with this pid; None, and a warning, for any other sender."""
        executor = self._named(framework_id, executor_id)
        if executor is not None and executor.pid == sender:
            return executor
        text = f"message of {sender} ignored: it is not the registered executor {executor_id}"
        self._ctx.notice(Level.WARNING, text)
        self._ctx.counters["false_executors"] += 1
        return None

    # --- framework messages -----------------------------------------------------------------

    def framework_message(self, message: messages_pb2.FrameworkToExecutorMessage) -> None:
        """Pass it on to a running executor."""
        executor = self._named(message.framework_id.value, message.executor_id.value)
        if executor is None or executor.phase is not ExecutorPhase.RUNNING:
            self._dropped()
        else:
            self._ctx.counters["valid_framework_messages"] += 1
            self._executors.channel.framework_message(executor, message.data)

    def _forward(self, executor: CustomExecutor, data: bytes) -> None:
        framework = self._frameworks.table.get(executor.key.framework_id)
        if framework is None or not self._ctx.connected:
            self._dropped()
        else:
            self._ctx.counters["valid_framework_messages"] += 1
            self._executors.channel.forward(framework, executor.key, data)

    def _dropped(self) -> None:
        self._ctx.counters["invalid_framework_messages"] += 1
