"""The last check of outgoing messages: a message that would abort a master is never sent.

A master trusts its agents. Some malformed messages end the leading master's process with a failed
CHECK, some of them only when the update is acknowledged. Every message to a master is checked
here, so that a bug of the agent raises UnsafeMessage and cannot take the cluster down.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from google.protobuf.message import Message

from shim.errors import UnsafeMessage
from shim.protos import authentication_pb2 as auth
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from shim.wire import field_rules
from shim.wire.field_rules import Problems
from shim.wire.registration_rules import register_problems, reregister_problems

Capabilities = Collection[int]
"""The ``SlaveInfo.Capability.Type`` values with which the agent registered."""

_MASTER_STATES = (mesos.TASK_STAGING, mesos.TASK_UNREACHABLE, mesos.TASK_UNKNOWN)
_FEEDBACK = (
    mesos.SlaveInfo.Capability.RESOURCE_PROVIDER,
    mesos.SlaveInfo.Capability.AGENT_OPERATION_FEEDBACK,
)
_FINAL_OPERATION_STATES = (
    mesos.OPERATION_FINISHED,
    mesos.OPERATION_FAILED,
    mesos.OPERATION_ERROR,
    mesos.OPERATION_DROPPED,
    mesos.OPERATION_GONE_BY_OPERATOR,
)


def check(message: Message, claimed: Capabilities = frozenset()) -> None:
    """Raises UnsafeMessage with every invalid field."""
    problems = [f"{field}: missing" for field in field_rules.missing(message)]
    if not problems:
        problems = [*problems_of(message, claimed)]
    if problems:
        raise UnsafeMessage(f"{message.DESCRIPTOR.name}.{'; '.join(problems)}")


def problems_of(message: Message, claimed: Capabilities) -> Problems:
    """Reasons for which a master would abort or silently drop the message.

    Messages to an agent have no rules.
    """
    validator = _VALIDATORS.get(type(message))
    if validator is not None:
        yield from validator(message, claimed)


def _status_update(message: internal.StatusUpdateMessage, _: Capabilities) -> Problems:
    update, status = message.update, message.update.status
    yield from field_rules.pid("pid", message.pid)
    yield from field_rules.uuid("update.uuid", update.uuid)
    if status.uuid != update.uuid:
        yield "update.status.uuid: not that of the update"
    yield from field_rules.identifier("update.slave_id", update.slave_id.value)
    yield from field_rules.identifier("update.framework_id", update.framework_id.value)
    yield from field_rules.identifier("update.status.task_id", status.task_id.value)
    if status.state in _MASTER_STATES:
        name = mesos.TaskState.Name(status.state)
        yield f"update.status.state: {name} may be set by a master only"
    if update.HasField("latest_state") and update.latest_state in _MASTER_STATES:
        name = mesos.TaskState.Name(update.latest_state)
        yield f"update.latest_state: {name} may be set by a master only"


def _update_slave(message: internal.UpdateSlaveMessage, _: Capabilities) -> Problems:
    yield from field_rules.identifier("slave_id", message.slave_id.value)
    for index, resource in enumerate(message.oversubscribed_resources):
        if not resource.HasField("revocable"):
            yield f"oversubscribed_resources[{index}].revocable: unset"
    if message.HasField("resource_version_uuid"):
        yield from field_rules.uuid("resource_version_uuid", message.resource_version_uuid.value)
    yield from _operations("operations.operations", message.operations)
    for index, provider in enumerate(message.resource_providers.providers):
        field = f"resource_providers.providers[{index}]"
        yield from field_rules.identifier(f"{field}.info.id", provider.info.id.value)
        yield from field_rules.uuid(
            f"{field}.resource_version_uuid", provider.resource_version_uuid.value
        )
        yield from _operations(f"{field}.operations.operations", provider.operations)
        yield from _finished(f"{field}.operations.operations", provider.operations)


def _operations(field: str, operations: internal.UpdateSlaveMessage.Operations) -> Problems:
    for index, operation in enumerate(operations.operations):
        yield from field_rules.uuid(f"{field}[{index}].uuid", operation.uuid.value)


def _finished(field: str, operations: internal.UpdateSlaveMessage.Operations) -> Problems:
    """A master aborts for an unknown operation of a provider that has not ended. The agent cannot
    know which operations the master knows, so all of them must have ended."""
    for index, operation in enumerate(operations.operations):
        if operation.latest_status.state not in _FINAL_OPERATION_STATES:
            yield f"{field}[{index}].latest_status.state: not final, of a provider"


def _operation_status(
    message: internal.UpdateOperationStatusMessage, claimed: Capabilities
) -> Problems:
    yield from field_rules.identifier("slave_id", message.slave_id.value)
    if message.HasField("operation_uuid"):
        yield from field_rules.uuid("operation_uuid", message.operation_uuid.value)
    elif not message.HasField("framework_id"):
        yield "operation_uuid: missing, and framework_id as well"
    if message.status.HasField("uuid"):
        yield from field_rules.uuid("status.uuid", message.status.uuid.value)
        known = message.status.HasField("operation_id")
        if not known and not any(capability in claimed for capability in _FEEDBACK):
            yield "status.uuid: set without operation_id, and no capability claimed for it"


def _exited_executor(message: internal.ExitedExecutorMessage, _: Capabilities) -> Problems:
    yield from field_rules.identifier("slave_id", message.slave_id.value)
    yield from field_rules.identifier("framework_id", message.framework_id.value)
    yield from field_rules.identifier("executor_id", message.executor_id.value)


_VALIDATORS: Mapping[type[Message], Callable[[Any, Capabilities], Problems]] = {
    internal.RegisterSlaveMessage: lambda message, _: register_problems(message),
    internal.ReregisterSlaveMessage: lambda message, _: reregister_problems(message),
    internal.UnregisterSlaveMessage: lambda message, _: field_rules.identifier(
        "slave_id", message.slave_id.value
    ),
    internal.StatusUpdateMessage: _status_update,
    internal.UpdateSlaveMessage: _update_slave,
    internal.UpdateOperationStatusMessage: _operation_status,
    internal.ExitedExecutorMessage: _exited_executor,
    internal.ExecutorToFrameworkMessage: _exited_executor,
    auth.AuthenticateMessage: lambda message, _: field_rules.pid("pid", message.pid),
}
