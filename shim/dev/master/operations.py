"""Reservations and persistent volumes: one resource turned into another, on the agent's word.

An agent with resource providers applies each operation and reports; any other is sent the whole
new list of what it has to remember. Either way the master books the result at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from shim.dev.master import admission, offers, tell
from shim.dev.master.resources import Bag, InvalidResource, downgraded, is_dynamic, upgraded
from shim.dev.master.state import Agent, AgentCapability, Framework, OperationEntry, World
from shim.dev.master.v1json import to_json
from shim.model.ids import AgentId, FrameworkId, Pid
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

Operation = mesos.Offer.Operation
REFUSED = frozenset(
    {
        mesos.OPERATION_FAILED,
        mesos.OPERATION_ERROR,
        mesos.OPERATION_DROPPED,
    }
)


def suited(agent: Agent, resources: Iterable[mesos.Resource]) -> list[mesos.Resource]:
    """Copies in the resource format that the agent understands."""
    refined = agent.can(AgentCapability.RESERVATION_REFINEMENT)
    return [upgraded(r) if refined else downgraded(upgraded(r)) for r in resources]


def conversion(operation: mesos.Offer.Operation) -> tuple[Bag, Bag]:
    """What an operation takes and what it makes of it. Raises InvalidResource."""
    match operation.type:
        case Operation.RESERVE:
            made = [upgraded(r) for r in operation.reserve.resources]
            return Bag.of(map(_unreserved, made)), Bag.of(made)
        case Operation.UNRESERVE:
            taken = [upgraded(r) for r in operation.unreserve.resources]
            return Bag.of(taken), Bag.of(map(_unreserved, taken))
        case Operation.CREATE:
            made = [upgraded(r) for r in operation.create.volumes]
            return Bag.of(map(_plain_disk, made)), Bag.of(made)
        case Operation.DESTROY:
            taken = [upgraded(r) for r in operation.destroy.volumes]
            return Bag.of(taken), Bag.of(map(_plain_disk, taken))
    raise InvalidResource(f"{Operation.Type.Name(operation.type)} is not done here")


def _unreserved(resource: mesos.Resource) -> mesos.Resource:
    if not is_dynamic(resource) or not resource.reservations:
        raise InvalidResource(f"{resource.name} has no dynamic reservation")
    new = upgraded(resource)
    del new.reservations[-1]
    return new


def _plain_disk(resource: mesos.Resource) -> mesos.Resource:
    if not resource.disk.HasField("persistence"):
        raise InvalidResource(f"{resource.name} is no persistent volume")
    new = upgraded(resource)
    new.disk.ClearField("persistence")
    new.disk.ClearField("volume")
    if not new.disk.HasField("source"):
        new.ClearField("disk")
    return new


def accept(
    world: World,
    framework: Framework,
    agent: Agent,
    left: Bag,
    operation: mesos.Offer.Operation,
) -> Bag:
    """A framework's operation on what is left of its offers; the new rest."""
    for resources in _resource_lists(operation):
        for resource in resources:
            resource.ClearField("allocation_info")
    if operation.HasField("id") and not agent.can(AgentCapability.AGENT_OPERATION_FEEDBACK):
        _tell_state(world, framework, operation, mesos.OPERATION_DROPPED, "no feedback possible")
        return left
    try:
        taken, made = conversion(operation)
        if not left.covers(taken):
            raise InvalidResource(f"{taken} is not in the offers")
    except InvalidResource as error:
        world.log(f"operation of {framework.id} dropped: {error}")
        _tell_state(world, framework, operation, mesos.OPERATION_ERROR, str(error))
        return left
    apply(world, agent, operation, taken, made, framework.id)
    return left - taken + made


def _resource_lists(operation: mesos.Offer.Operation) -> list[Iterable[mesos.Resource]]:
    return [
        operation.reserve.resources,
        operation.reserve.source,
        operation.unreserve.resources,
        operation.create.volumes,
        operation.destroy.volumes,
    ]


def _tell_state(
    world: World,
    framework: Framework,
    operation: mesos.Offer.Operation,
    state: mesos.OperationState.ValueType,
    text: str,
) -> None:
    if operation.HasField("id"):
        status = mesos.OperationStatus(operation_id=operation.id, state=state, message=text)
        world.emit(framework, "UPDATE_OPERATION_STATUS", {"status": to_json(status)})


def operate(world: World, agent_id: AgentId, operation: mesos.Offer.Operation) -> str | None:
    """An operator's operation on what is free. The reason if it cannot be done."""
    agent = world.agents.get(agent_id)
    if agent is None:
        return "No agent found with specified ID"
    try:
        taken, made = conversion(operation)
    except InvalidResource as error:
        return str(error)
    if not (agent.total - agent.used).covers(taken):
        return f"the agent has no free {taken}"
    if not offers.free_of(world, agent).covers(taken):
        offers.rescind_of_agent(world, agent)
    apply(world, agent, operation, taken, made, None)
    world.allocate_soon()
    return None


def apply(
    world: World,
    agent: Agent,
    operation: mesos.Offer.Operation,
    taken: Bag,
    made: Bag,
    framework_id: FrameworkId | None,
) -> None:
    """Book it, and tell the agent."""
    _convert(agent, taken, made)
    if not agent.can(AgentCapability.RESOURCE_PROVIDER):
        tell.checkpointed(world, agent)
        return
    if not agent.resource_version:
        world.abort(agent.pid, "ApplyOperationMessage", "there is no resource_version_uuid")
        return
    entry = OperationEntry(world.new_uuid(), operation, framework_id)
    agent.operations[entry.uuid] = entry
    message = internal.ApplyOperationMessage(operation_info=operation)
    if framework_id is not None:
        message.framework_id.value = framework_id
    message.operation_uuid.value = entry.uuid
    message.resource_version_uuid.uuid.value = agent.resource_version
    world.tell(agent, message)


def _convert(agent: Agent, taken: Bag, made: Bag) -> None:
    agent.total = agent.total - taken + made
    agent.checkpointed = Bag.of(r for r in agent.total.resources() if is_dynamic(r))


def updated(world: World, sender: Pid, message: internal.UpdateOperationStatusMessage) -> None:
    """An agent's word about an operation."""
    agent = world.agents.get(AgentId(message.slave_id.value))
    capabilities = agent.capabilities if agent else frozenset()
    if fatal := admission.abort_operation_status(message, capabilities):
        world.abort(sender, message, fatal)
        return
    entry = agent.operations.get(message.operation_uuid.value) if agent else None
    if agent is None or entry is None:
        world.refuse(sender, message, "unknown agent or operation")
        return
    entry.state = message.status.state
    if entry.state in REFUSED:
        taken, made = conversion(entry.info)
        _convert(agent, made, taken)
    if not message.status.HasField("uuid"):
        return
    framework = world.frameworks.get(entry.framework_id) if entry.framework_id else None
    if framework is not None and message.status.HasField("operation_id"):
        world.emit(framework, "UPDATE_OPERATION_STATUS", {"status": to_json(message.status)})
    else:
        acknowledge(world, agent, message.status.uuid.value, entry)


def acknowledge(world: World, agent: Agent, status_uuid: bytes, entry: OperationEntry) -> None:
    message = internal.AcknowledgeOperationStatusMessage()
    message.status_uuid.value = status_uuid
    message.operation_uuid.value = entry.uuid
    world.tell(agent, message)
    if entry.state != mesos.OPERATION_PENDING:
        agent.operations.pop(entry.uuid, None)
