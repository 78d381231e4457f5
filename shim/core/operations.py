"""Operations on reservations and volumes: applied at once, their status delivered reliably.

The records of an operation's effects and of its status are one decision, so both are durable before
the status is sent. :mod:`shim.core.operation_table` says when it is sent. The agent reports its
operations after each registration, and the master asks about those that it misses there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shim import limits
from shim.core.context import Context
from shim.core.operation_table import OperationAction, OperationEvent, OperationPhase, step
from shim.core.reservations import Reservations
from shim.core.timers import OperationRetry
from shim.model.orders import Level, Send
from shim.model.records import DropOperation, SaveOperation
from shim.model.resource_sets import InvalidResource
from shim.protos import mesos_pb2, messages_pb2
from shim.protos.mesos_pb2 import Offer, OperationStatus

_UUID_BYTES = 16


@dataclass(slots=True)
class _Tracked:
    operation: mesos_pb2.Operation
    phase: OperationPhase = OperationPhase.WAITING
    interval: float = limits.UPDATE_RETRY_MIN
    """Seconds until its status is sent again."""


class Operations:
    def __init__(self, ctx: Context, reservations: Reservations) -> None:
        self._ctx = ctx
        self._reservations = reservations
        self._tracked: dict[bytes, _Tracked] = {}
        """Operations whose status is not acknowledged, by uuid."""

    def __len__(self) -> int:
        return len(self._tracked)

    # --- messages of the master -----------------------------------------------------------

    def apply(self, message: messages_pb2.ApplyOperationMessage) -> bool:
        """Carry out an operation and report it. False: it does not fit the agent's resources."""
        uuid = message.operation_uuid.value
        if not message.IsInitialized() or len(uuid) != _UUID_BYTES:
            self._ctx.counters["invalid_operations"] += 1
            return True
        if uuid in self._tracked:
            self._ctx.counters["duplicate_operations"] += 1
            self._apply(uuid, OperationEvent.APPLIED_AGAIN)
            return True
        reason = ""
        try:
            self._reservations.apply(message.operation_info)
        except InvalidResource as error:
            reason = str(error)
            name = Offer.Operation.Type.Name(message.operation_info.type)
            self._ctx.notice(Level.WARNING, f"operation {name} of the master refused: {reason}")
        tracked = _Tracked(self._finished(message, reason))
        self._tracked[uuid] = tracked
        self._ctx.record(SaveOperation(uuid, tracked.operation.SerializeToString()))
        if self._ctx.connected:
            self._apply(uuid, OperationEvent.REGISTERED)
        return not reason

    def _finished(
        self, message: messages_pb2.ApplyOperationMessage, reason: str
    ) -> mesos_pb2.Operation:
        """The operation in its last state. ``reason``: why it is in error."""
        state = mesos_pb2.OPERATION_ERROR if reason else mesos_pb2.OPERATION_FINISHED
        status = self._status(state)
        status.uuid.value = self._ctx.entropy.uuid()
        if reason:
            status.message = reason
        if message.operation_info.HasField("id"):
            status.operation_id.CopyFrom(message.operation_info.id)
        operation = mesos_pb2.Operation(
            info=message.operation_info,
            slave_id=status.slave_id,
            latest_status=status,
            statuses=[status],
            uuid=message.operation_uuid,
        )
        if message.HasField("framework_id"):
            operation.framework_id.CopyFrom(message.framework_id)
        return operation

    def acknowledge(self, message: messages_pb2.AcknowledgeOperationStatusMessage) -> None:
        """A framework, or the master itself, has the status."""
        tracked = self._tracked.get(message.operation_uuid.value)
        if tracked is None:
            self._ctx.counters["acknowledgements_ignored"] += 1
            return
        same = tracked.operation.latest_status.uuid.value == message.status_uuid.value
        event = OperationEvent.ACKNOWLEDGED if same else OperationEvent.OTHER_ACKNOWLEDGED
        self._apply(message.operation_uuid.value, event)

    def reconcile(self, message: messages_pb2.ReconcileOperationsMessage) -> None:
        """Answer what the master, or a framework through it, asks about.

        The master asks about operations that it has and the agent did not report: those that never
        arrived are DROPPED. A framework asks about any operation. The answers are not repeated.
        """
        for asked in message.operations:
            tracked = self._asked(message, asked)
            if tracked is None:
                self._answer_unknown(message, asked)
            elif message.HasField("framework_id"):
                status = OperationStatus()
                status.CopyFrom(tracked.operation.latest_status)
                status.ClearField("uuid")
                self._send(status, tracked.operation.uuid.value, message.framework_id.value)

    def _asked(
        self,
        message: messages_pb2.ReconcileOperationsMessage,
        asked: messages_pb2.ReconcileOperationsMessage.Operation,
    ) -> _Tracked | None:
        if asked.HasField("operation_uuid"):
            return self._tracked.get(asked.operation_uuid.value)
        for tracked in self._tracked.values():
            operation = tracked.operation
            if (
                operation.framework_id.value == message.framework_id.value
                and operation.info.HasField("id")
                and operation.info.id == asked.operation_id
            ):
                return tracked
        return None

    def _answer_unknown(
        self,
        message: messages_pb2.ReconcileOperationsMessage,
        asked: messages_pb2.ReconcileOperationsMessage.Operation,
    ) -> None:
        if message.HasField("framework_id"):
            status = self._status(mesos_pb2.OPERATION_UNKNOWN)
            if asked.HasField("operation_id"):
                status.operation_id.CopyFrom(asked.operation_id)
        else:
            status = self._status(mesos_pb2.OPERATION_DROPPED)
        self._send(status, asked.operation_uuid.value, message.framework_id.value)

    # --- the connection -------------------------------------------------------------------

    def registered(self) -> None:
        """Report the agent's operations, then send every unacknowledged status."""
        ctx = self._ctx
        if not ctx.connected or ctx.master is None or ctx.agent_id is None:
            return
        update = messages_pb2.UpdateSlaveMessage(update_oversubscribed_resources=False)
        update.slave_id.value = ctx.agent_id
        update.resource_version_uuid.value = ctx.settings.resource_version
        update.operations.SetInParent()
        update.operations.operations.extend(each.operation for each in self._tracked.values())
        update.resource_providers.SetInParent()
        ctx.order(Send(ctx.master, update))
        for uuid in list(self._tracked):
            self._apply(uuid, OperationEvent.REGISTERED)

    def retry(self, uuid: bytes) -> None:
        """The retry interval passed without an acknowledgement."""
        if uuid in self._tracked:
            lost = not self._ctx.connected
            self._apply(uuid, OperationEvent.MASTER_LOST if lost else OperationEvent.RETRY_DUE)

    def drop_all(self) -> None:
        """The agent id is given up: no master knows the operations under another one."""
        for uuid in list(self._tracked):
            self._forget(uuid)

    # --- the table ------------------------------------------------------------------------

    def _apply(self, uuid: bytes, event: OperationEvent) -> None:
        tracked = self._tracked[uuid]
        tracked.phase, action = step(tracked.phase, event)
        match action:
            case OperationAction.SEND:
                self._deliver(tracked, limits.UPDATE_RETRY_MIN)
            case OperationAction.SEND_AGAIN:
                self._ctx.counters["operation_statuses_resent"] += 1
                self._deliver(tracked, min(2 * tracked.interval, limits.UPDATE_RETRY_MAX))
            case OperationAction.HOLD:
                self._ctx.timers.cancel(OperationRetry(uuid))
            case OperationAction.FORGET:
                self._forget(uuid)
            case OperationAction.IGNORE:
                pass

    def _deliver(self, tracked: _Tracked, interval: float) -> None:
        operation = tracked.operation
        tracked.interval = interval
        uuid = operation.uuid.value
        self._ctx.timers.set(OperationRetry(uuid), self._ctx.now.mono + interval)
        self._send(operation.latest_status, uuid, operation.framework_id.value, latest=True)

    def _forget(self, uuid: bytes) -> None:
        del self._tracked[uuid]
        self._ctx.timers.cancel(OperationRetry(uuid))
        self._ctx.record(DropOperation(uuid))

    # --- statuses -------------------------------------------------------------------------

    def _status(self, state: mesos_pb2.OperationState.ValueType) -> OperationStatus:
        assert self._ctx.agent_id is not None
        status = OperationStatus(state=state)
        status.slave_id.value = self._ctx.agent_id
        return status

    def _send(
        self, status: OperationStatus, uuid: bytes, framework_id: str, *, latest: bool = False
    ) -> None:
        ctx = self._ctx
        if not ctx.connected or ctx.master is None or ctx.agent_id is None:
            return
        message = messages_pb2.UpdateOperationStatusMessage(status=status)
        message.slave_id.value = ctx.agent_id
        if latest:
            message.latest_status.CopyFrom(status)
        if uuid:
            message.operation_uuid.value = uuid
        if framework_id:
            message.framework_id.value = framework_id
        ctx.order(Send(ctx.master, message))

    # --- restart --------------------------------------------------------------------------

    def restore(self, saved: Mapping[bytes, bytes]) -> None:
        for uuid, value in saved.items():
            self._tracked[uuid] = _Tracked(mesos_pb2.Operation.FromString(value))
