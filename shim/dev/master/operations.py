"""Offer operations: RESERVE, CREATE and their kind convert one resource into another.

An agent with the capability RESOURCE_PROVIDER gets an ApplyOperationMessage and reports the
outcome. Any other agent gets a CheckpointResourcesMessage with the complete new list. In both
cases the master updates its state at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from shim.dev.master import agent_messages, agent_validation, offers
from shim.dev.master.master_state import (
    Agent,
    AgentCapability,
    MasterFramework,
    MasterState,
    OperationEntry,
)
from shim.dev.master.operation_validation import invalid_operation
from shim.model.ids import AgentId, FrameworkId, Pid
from shim.model.offer_operations import conversion, resources_of
from shim.model.resource_sets import InvalidResource, Resources, downgraded, upgraded
from shim.model.resources import is_checkpointed
from shim.model.v1_json import to_json
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

Operation = mesos.Offer.Operation
_RESIZES = (Operation.GROW_VOLUME, Operation.SHRINK_VOLUME)


def convert_for(agent: Agent, resources: Iterable[mesos.Resource]) -> list[mesos.Resource]:
    """Copies of the resources in the format that the agent understands."""
    refined = agent.can(AgentCapability.RESERVATION_REFINEMENT)
    return [upgraded(r) if refined else downgraded(upgraded(r)) for r in resources]


def accept(
    master: MasterState,
    framework: MasterFramework,
    agent: Agent,
    remaining: Resources,
    operation: mesos.Offer.Operation,
) -> Resources:
    """A framework's operation on the rest of its offers. Returns the new rest."""
    for resource in resources_of(operation):
        resource.ClearField("allocation_info")
    if operation.HasField("id") and not agent.can(AgentCapability.AGENT_OPERATION_FEEDBACK):
        _send_operation_status(
            master, framework, operation, mesos.OPERATION_DROPPED, "no feedback possible"
        )
        return remaining
    try:
        if reason := invalid_operation(operation, agent, framework):
            raise InvalidResource(reason)
        consumed, created = conversion(operation)
        if not remaining.contains(consumed):
            raise InvalidResource(f"{consumed} is not in the offers")
    except InvalidResource as error:
        master.log(f"operation of {framework.id} dropped: {error}")
        _send_operation_status(master, framework, operation, mesos.OPERATION_ERROR, str(error))
        return remaining
    _rescind_shared(master, agent, consumed)
    apply(master, agent, operation, consumed, created, framework.id)
    if operation.type in _RESIZES:
        # What was resized is offered again; it cannot be used in the same call.
        return remaining - consumed
    return remaining - consumed + created


def _rescind_shared(master: MasterState, agent: Agent, consumed: Resources) -> None:
    """Other frameworks may hold offers of a shared volume that is destroyed."""
    shared = consumed.only(lambda resource: resource.HasField("shared"))
    for offer in list(master.offers.values()):
        if shared and offer.agent_id == agent.id and offer.resources.contains(shared):
            offers.rescind(master, offer)


def _send_operation_status(
    master: MasterState,
    framework: MasterFramework,
    operation: mesos.Offer.Operation,
    state: mesos.OperationState.ValueType,
    text: str,
) -> None:
    if operation.HasField("id"):
        status = mesos.OperationStatus(operation_id=operation.id, state=state, message=text)
        master.send_event(framework, "UPDATE_OPERATION_STATUS", {"status": to_json(status)})


def operate(master: MasterState, agent_id: AgentId, operation: mesos.Offer.Operation) -> str | None:
    """An operator's operation on unused resources. Returns why it is rejected, else None."""
    agent = master.agents.get(agent_id)
    if agent is None:
        return "No agent found with specified ID"
    try:
        if reason := invalid_operation(operation, agent, None):
            return reason
        consumed, created = conversion(operation)
    except InvalidResource as error:
        return str(error)
    if not (agent.total - agent.used.exclusive()).contains(consumed):
        return f"the agent has no free {consumed}"
    if not offers.available(master, agent).contains(consumed):
        offers.rescind_agent_offers(master, agent)
    _rescind_shared(master, agent, consumed)
    apply(master, agent, operation, consumed, created, None)
    master.schedule_allocation()
    return None


def apply(
    master: MasterState,
    agent: Agent,
    operation: mesos.Offer.Operation,
    consumed: Resources,
    created: Resources,
    framework_id: FrameworkId | None,
) -> None:
    """Convert the resources in memory and send the operation to the agent."""
    _convert(agent, consumed, created)
    if not agent.can(AgentCapability.RESOURCE_PROVIDER):
        agent_messages.checkpointed(master, agent)
        return
    if not agent.resource_version:
        master.abort(agent.pid, "ApplyOperationMessage", "there is no resource_version_uuid")
        return
    entry = OperationEntry(master.new_uuid(), operation, framework_id)
    agent.operations[entry.uuid] = entry
    message = internal.ApplyOperationMessage(operation_info=operation)
    if framework_id is not None:
        message.framework_id.value = framework_id
    message.operation_uuid.value = entry.uuid
    message.resource_version_uuid.uuid.value = agent.resource_version
    master.send(agent, message)


def _convert(agent: Agent, consumed: Resources, created: Resources) -> None:
    agent.total = agent.total - consumed + created
    agent.checkpointed = agent.total.only(is_checkpointed)


def updated(
    master: MasterState, sender: Pid, message: internal.UpdateOperationStatusMessage
) -> None:
    """UpdateOperationStatusMessage of an agent."""
    agent = master.agents.get(AgentId(message.slave_id.value))
    capabilities = agent.capabilities if agent else frozenset()
    if fatal := agent_validation.fatal_operation_status(message, capabilities):
        master.abort(sender, message, fatal)
        return
    if not message.HasField("operation_uuid"):
        _forward(master, message)
        return
    entry = agent.operations.get(message.operation_uuid.value) if agent else None
    if agent is None or entry is None:
        master.drop_message(sender, message, "unknown agent or operation")
        return
    # A master counts on the success of these operations: another state changes no resources.
    entry.state = message.status.state
    status = message.status
    if entry.info.HasField("id"):
        # The agent's answer about an operation that it never got has no id.
        status.operation_id.CopyFrom(entry.info.id)
    framework = master.frameworks.get(entry.framework_id) if entry.framework_id else None
    if framework is not None and entry.info.HasField("id"):
        master.send_event(framework, "UPDATE_OPERATION_STATUS", {"status": to_json(status)})
    elif status.HasField("uuid"):
        acknowledge(master, agent, status.uuid.value, entry)
    if not status.HasField("uuid"):
        agent.operations.pop(entry.uuid, None)


def _forward(master: MasterState, message: internal.UpdateOperationStatusMessage) -> None:
    """The agent's answer to a reconciliation that a framework asked for."""
    framework = master.frameworks.get(FrameworkId(message.framework_id.value))
    if framework is not None:
        master.send_event(framework, "UPDATE_OPERATION_STATUS", {"status": to_json(message.status)})


def compare(
    master: MasterState, agent: Agent, reported: internal.UpdateSlaveMessage.Operations
) -> None:
    """The agent reports its operations: adopt unknown ones, ask about missing ones."""
    known = {operation.uuid.value for operation in reported.operations}
    question = internal.ReconcileOperationsMessage()
    for uuid in agent.operations.keys() - known:
        question.operations.add().operation_uuid.value = uuid
    if question.operations:
        master.send(agent, question)
    for operation in reported.operations:
        framework_id = FrameworkId(operation.framework_id.value) or None
        entry = OperationEntry(operation.uuid.value, operation.info, framework_id)
        agent.operations.setdefault(entry.uuid, entry)


def acknowledge(
    master: MasterState, agent: Agent, status_uuid: bytes, entry: OperationEntry
) -> None:
    message = internal.AcknowledgeOperationStatusMessage()
    message.status_uuid.value = status_uuid
    message.operation_uuid.value = entry.uuid
    master.send(agent, message)
    if entry.state != mesos.OPERATION_PENDING:
        agent.operations.pop(entry.uuid, None)
