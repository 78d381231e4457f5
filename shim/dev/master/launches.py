"""ACCEPT: offers turned into tasks on an agent."""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence, Sequence

from shim.dev.master import offers, operations, task_rules, tasks
from shim.dev.master.resources import Bag, upgraded
from shim.dev.master.state import (
    HTTP_FRAMEWORK_PID,
    Agent,
    AgentCapability,
    Framework,
    Offer,
    World,
)
from shim.model.ids import ExecutorId
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

Operation = mesos.Offer.Operation
Status = mesos.TaskStatus


def accept(
    world: World,
    framework: Framework,
    offer_ids: Sequence[str],
    wanted: Iterable[mesos.Offer.Operation],
    refuse_seconds: float,
) -> None:
    """Apply the operations in order; what is left of the offers counts as declined."""
    reason = _refused(world, framework, offer_ids)
    mine = [world.offers[i] for i in offer_ids if _is_mine(world, framework, i)]
    for offer in mine:
        offers.take(world, offer.id)
    if reason:
        _lost(world, framework, wanted, reason)
        return
    agent, role = world.agents[mine[0].agent_id], mine[0].role
    left = sum((offer.resources for offer in mine), Bag())
    for operation in wanted:
        left = _apply(world, framework, agent, role, left, operation)
    rest = Offer("", framework.id, agent.id, role, left)
    offers.refuse(world, framework, rest, left, refuse_seconds)


def decline(
    world: World, framework: Framework, offer_ids: Sequence[str], refuse_seconds: float
) -> None:
    for offer_id in offer_ids:
        if _is_mine(world, framework, offer_id):
            offer = world.offers[offer_id]
            offers.take(world, offer_id)
            offers.refuse(world, framework, offer, offer.resources, refuse_seconds)


def _is_mine(world: World, framework: Framework, offer_id: str) -> bool:
    offer = world.offers.get(offer_id)
    return offer is not None and offer.framework_id == framework.id


def _refused(world: World, framework: Framework, offer_ids: Sequence[str]) -> str | None:
    if not offer_ids:
        return "No offers specified"
    if len(set(offer_ids)) != len(offer_ids):
        return "an offer is named twice"
    for offer_id in offer_ids:
        if not _is_mine(world, framework, offer_id):
            return f"Offer {offer_id} is no longer valid"
    if len({world.offers[i].agent_id for i in offer_ids}) > 1:
        return "the offers are of several agents"
    if len({world.offers[i].role for i in offer_ids}) > 1:
        return "the offers are for several roles"
    return None


def _infos(operation: mesos.Offer.Operation) -> list[mesos.TaskInfo]:
    return [*operation.launch.task_infos, *operation.launch_group.task_group.tasks]


def _lost(
    world: World, framework: Framework, wanted: Iterable[mesos.Offer.Operation], why: str
) -> None:
    state = mesos.TASK_DROPPED if framework.partition_aware else mesos.TASK_LOST
    for operation in wanted:
        for info in _infos(operation):
            text = f"Task launched with invalid offers: {why}"
            _tell_end(world, framework, info, state, Status.REASON_INVALID_OFFERS, text)


def _tell_end(
    world: World,
    framework: Framework,
    info: mesos.TaskInfo,
    state: tasks.State,
    reason: tasks.Reason,
    text: str,
) -> None:
    status = mesos.TaskStatus(
        state=state,
        source=Status.SOURCE_MASTER,
        reason=reason,
        message=text,
        timestamp=world.now,
    )
    status.task_id.CopyFrom(info.task_id)
    status.slave_id.CopyFrom(info.slave_id)
    tasks.forward(world, framework, status)


def _apply(
    world: World,
    framework: Framework,
    agent: Agent,
    role: str,
    left: Bag,
    operation: mesos.Offer.Operation,
) -> Bag:
    """What is left after one operation."""
    if operation.type == Operation.LAUNCH:
        for info in operation.launch.task_infos:
            left = _launch(world, framework, agent, role, left, info)
        return left
    if operation.type == Operation.LAUNCH_GROUP:
        return _launch_group(world, framework, agent, role, left, operation.launch_group)
    return operations.accept(world, framework, agent, left, operation)


def _allocate(resources: Iterable[mesos.Resource], role: str) -> list[mesos.Resource]:
    """The resources in the format of today, allocated to the offer's role."""
    result = []
    for resource in resources:
        new = upgraded(resource)
        new.allocation_info.role = role
        result.append(new)
    return result


def _prepare(info: mesos.TaskInfo, framework: Framework, role: str) -> None:
    """Put on what a master adds to a TaskInfo before it looks at it."""
    resources = _allocate(info.resources, role)
    del info.resources[:]
    info.resources.extend(resources)
    if info.HasField("executor"):
        _prepare_executor(info.executor, framework, role)


def _complete_health_check(info: mesos.TaskInfo) -> None:
    """Old frameworks leave the type out: a lone command or http tells it, as for a real master."""
    check = info.health_check
    if not info.HasField("health_check") or check.HasField("type"):
        return
    if check.HasField("command") != check.HasField("http"):
        check.type = check.COMMAND if check.HasField("command") else check.HTTP


def _prepare_executor(executor: mesos.ExecutorInfo, framework: Framework, role: str) -> None:
    resources = _allocate(executor.resources, role)
    del executor.resources[:]
    executor.resources.extend(resources)
    if not executor.HasField("framework_id"):
        executor.framework_id.value = framework.id


def _new_executor(agent: Agent, framework: Framework, executor: mesos.ExecutorInfo) -> bool:
    return (framework.id, ExecutorId(executor.executor_id.value)) not in agent.executors


def _launch(
    world: World,
    framework: Framework,
    agent: Agent,
    role: str,
    left: Bag,
    info: mesos.TaskInfo,
) -> Bag:
    _complete_health_check(info)
    reason = task_rules.refused(info, framework, agent)
    if reason is None and info.HasField("executor"):
        reason = task_rules.refused_launch_executor(info.executor) or task_rules.refused_executor(
            info.executor, framework
        )
    if reason is None:
        _prepare(info, framework, role)
        new = info.HasField("executor") and _new_executor(agent, framework, info.executor)
        needed = Bag.of(info.resources) + (Bag.of(info.executor.resources) if new else Bag())
        if left.covers(needed):
            tasks.add(world, agent, tasks.task_of(info, framework.id))
            if new:
                tasks.add_executor(agent, info.executor)
            _tell_run(world, framework, agent, info, new or not info.HasField("executor"))
            return left - needed
        reason = f"Task uses more resources {needed} than available {left}"
    _tell_end(world, framework, info, mesos.TASK_ERROR, Status.REASON_TASK_INVALID, reason)
    return left


def _launch_group(
    world: World,
    framework: Framework,
    agent: Agent,
    role: str,
    left: Bag,
    group: mesos.Offer.Operation.LaunchGroup,
) -> Bag:
    """All tasks of the group, or none."""
    reason = task_rules.refused_group_executor(group.executor, framework)
    _prepare_executor(group.executor, framework, role)
    for info in group.task_group.tasks:
        reason = reason or task_rules.refused(info, framework, agent)
        _prepare(info, framework, role)
        info.executor.CopyFrom(group.executor)
    new = _new_executor(agent, framework, group.executor)
    if reason is None:
        needed = sum((Bag.of(i.resources) for i in group.task_group.tasks), Bag())
        needed += Bag.of(group.executor.resources) if new else Bag()
        if left.covers(needed):
            _start_group(world, framework, agent, group, new)
            return left - needed
        reason = f"Task group uses more resources {needed} than available {left}"
    for info in group.task_group.tasks:
        _tell_end(
            world, framework, info, mesos.TASK_ERROR, Status.REASON_TASK_GROUP_INVALID, reason
        )
    return left


def _start_group(
    world: World,
    framework: Framework,
    agent: Agent,
    group: mesos.Offer.Operation.LaunchGroup,
    new: bool,
) -> None:
    for info in group.task_group.tasks:
        tasks.add(world, agent, tasks.task_of(info, framework.id))
    if new:
        tasks.add_executor(agent, group.executor)
    message = internal.RunTaskGroupMessage(
        framework=framework.info,
        executor=group.executor,
        task_group=group.task_group,
        resource_version_uuids=_versions(agent),
        launch_executor=new,
    )
    _suit(agent, message.executor.resources)
    for info in message.task_group.tasks:
        _suit_task(agent, info)
    world.tell(agent, message)


def _tell_run(
    world: World, framework: Framework, agent: Agent, info: mesos.TaskInfo, launch_executor: bool
) -> None:
    message = internal.RunTaskMessage(
        framework=framework.info,
        pid=HTTP_FRAMEWORK_PID,
        task=info,
        resource_version_uuids=_versions(agent),
        launch_executor=launch_executor,
    )
    _suit_task(agent, message.task)
    world.tell(agent, message)


def _versions(agent: Agent) -> list[internal.ResourceVersionUUID]:
    if not agent.resource_version:
        return []
    version = internal.ResourceVersionUUID()
    version.uuid.value = agent.resource_version
    return [version]


def _suit_task(agent: Agent, info: mesos.TaskInfo) -> None:
    _suit(agent, info.resources)
    if info.HasField("executor"):
        _suit(agent, info.executor.resources)


def _suit(agent: Agent, resources: MutableSequence[mesos.Resource]) -> None:
    """In the form this agent's capabilities allow."""
    suited = operations.suited(agent, resources)
    if not agent.can(AgentCapability.MULTI_ROLE):
        for resource in suited:
            resource.ClearField("allocation_info")
    del resources[:]
    resources.extend(suited)
