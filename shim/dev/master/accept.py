"""The call ACCEPT: offers become tasks and operations on an agent; and DECLINE."""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence, Sequence

from shim.dev.master import group_validation, offers, operations, task_validation, tasks
from shim.dev.master.master_state import (
    HTTP_FRAMEWORK_PID,
    Agent,
    AgentCapability,
    MasterFramework,
    MasterState,
    Offer,
)
from shim.model.ids import ExecutorId
from shim.model.resource_sets import Resources, upgraded
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

Operation = mesos.Offer.Operation
Status = mesos.TaskStatus


def accept(
    master: MasterState,
    framework: MasterFramework,
    offer_ids: Sequence[str],
    requested: Iterable[mesos.Offer.Operation],
    refuse_seconds: float,
) -> None:
    """Apply the operations in order. The rest of the offers counts as declined."""
    reason = _invalid_offers(master, framework, offer_ids)
    accepted = [master.offers[i] for i in offer_ids if _belongs_to(master, framework, i)]
    for offer in accepted:
        offers.remove(master, offer.id)
    if reason:
        _drop_tasks(master, framework, requested, reason)
        return
    agent, role = master.agents[accepted[0].agent_id], accepted[0].role
    remaining = sum((offer.resources for offer in accepted), Resources())
    for operation in requested:
        remaining = _apply(master, framework, agent, role, remaining, operation)
    rest = Offer("", framework.id, agent.id, role, remaining)
    offers.add_filter(master, framework, rest, remaining, refuse_seconds)


def decline(
    master: MasterState, framework: MasterFramework, offer_ids: Sequence[str], refuse_seconds: float
) -> None:
    for offer_id in offer_ids:
        if _belongs_to(master, framework, offer_id):
            offer = master.offers[offer_id]
            offers.remove(master, offer_id)
            offers.add_filter(master, framework, offer, offer.resources, refuse_seconds)


def _belongs_to(master: MasterState, framework: MasterFramework, offer_id: str) -> bool:
    offer = master.offers.get(offer_id)
    return offer is not None and offer.framework_id == framework.id


def _invalid_offers(
    master: MasterState, framework: MasterFramework, offer_ids: Sequence[str]
) -> str | None:
    if not offer_ids:
        return "No offers specified"
    if len(set(offer_ids)) != len(offer_ids):
        return "an offer is named twice"
    for offer_id in offer_ids:
        if not _belongs_to(master, framework, offer_id):
            return f"Offer {offer_id} is no longer valid"
    if len({master.offers[i].agent_id for i in offer_ids}) > 1:
        return "the offers are of several agents"
    if len({master.offers[i].role for i in offer_ids}) > 1:
        return "the offers are for several roles"
    return None


def _infos(operation: mesos.Offer.Operation) -> list[mesos.TaskInfo]:
    return [*operation.launch.task_infos, *operation.launch_group.task_group.tasks]


def _drop_tasks(
    master: MasterState,
    framework: MasterFramework,
    requested: Iterable[mesos.Offer.Operation],
    why: str,
) -> None:
    state = mesos.TASK_DROPPED if framework.partition_aware else mesos.TASK_LOST
    for operation in requested:
        for info in _infos(operation):
            text = f"Task launched with invalid offers: {why}"
            _send_status(master, framework, info, state, Status.REASON_INVALID_OFFERS, text)


def _send_status(
    master: MasterState,
    framework: MasterFramework,
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
        timestamp=master.now,
    )
    status.task_id.CopyFrom(info.task_id)
    status.slave_id.CopyFrom(info.slave_id)
    tasks.forward(master, framework, status)


def _apply(
    master: MasterState,
    framework: MasterFramework,
    agent: Agent,
    role: str,
    remaining: Resources,
    operation: mesos.Offer.Operation,
) -> Resources:
    """Returns the resources that are remaining after one operation."""
    if operation.type == Operation.LAUNCH:
        for info in operation.launch.task_infos:
            remaining = _launch(master, framework, agent, role, remaining, info)
        return remaining
    if operation.type == Operation.LAUNCH_GROUP:
        return _launch_group(master, framework, agent, role, remaining, operation.launch_group)
    return operations.accept(master, framework, agent, remaining, operation)


def _allocate_in_place(resources: MutableSequence[mesos.Resource], role: str) -> None:
    """Allocate to the offer's role, in the post-reservation-refinement format."""
    allocated = [upgraded(resource) for resource in resources]
    for resource in allocated:
        resource.allocation_info.role = role
    del resources[:]
    resources.extend(allocated)


def _prepare(info: mesos.TaskInfo, framework: MasterFramework, role: str) -> None:
    """Add what a master adds to a TaskInfo before its resource checks."""
    _allocate_in_place(info.resources, role)
    if info.HasField("executor"):
        _prepare_executor(info.executor, framework, role)


def _complete_health_check(info: mesos.TaskInfo) -> None:
    """Old frameworks omit the type. As in Mesos a lone ``command`` or ``http`` decides it."""
    check = info.health_check
    if not info.HasField("health_check") or check.HasField("type"):
        return
    if check.HasField("command") != check.HasField("http"):
        check.type = check.COMMAND if check.HasField("command") else check.HTTP


def _prepare_executor(executor: mesos.ExecutorInfo, framework: MasterFramework, role: str) -> None:
    _allocate_in_place(executor.resources, role)
    if not executor.HasField("framework_id"):
        executor.framework_id.value = framework.id


def _incompatible(
    agent: Agent, framework: MasterFramework, role: str, executor: mesos.ExecutorInfo
) -> str | None:
    """An executor of the same id runs on the agent: it has to be the same."""
    known = agent.executors.get((framework.id, ExecutorId(executor.executor_id.value)))
    if known is None:
        return None
    wanted = mesos.ExecutorInfo()
    wanted.CopyFrom(executor)
    _prepare_executor(wanted, framework, role)
    if wanted == known:
        return None
    return "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID"


def _new_executor(agent: Agent, framework: MasterFramework, executor: mesos.ExecutorInfo) -> bool:
    return (framework.id, ExecutorId(executor.executor_id.value)) not in agent.executors


def _launch(
    master: MasterState,
    framework: MasterFramework,
    agent: Agent,
    role: str,
    remaining: Resources,
    info: mesos.TaskInfo,
) -> Resources:
    _complete_health_check(info)
    reason = task_validation.invalid_task(info, framework, agent)
    if reason is None and info.HasField("executor"):
        reason = (
            task_validation.invalid_launch_executor(info.executor)
            or task_validation.invalid_executor(info.executor, framework)
            or _incompatible(agent, framework, role, info.executor)
        )
    if reason is None:
        _prepare(info, framework, role)
        new = info.HasField("executor") and _new_executor(agent, framework, info.executor)
        needed = Resources.of(info.resources) + (
            Resources.of(info.executor.resources) if new else Resources()
        )
        if remaining.contains(needed):
            tasks.add(master, agent, tasks.new_task(info, framework.id))
            if new:
                tasks.add_executor(agent, info.executor)
            _send_run_task(master, framework, agent, info, new or not info.HasField("executor"))
            return remaining - needed.exclusive()
        reason = f"Task uses more resources {needed} than available {remaining}"
    _send_status(master, framework, info, mesos.TASK_ERROR, Status.REASON_TASK_INVALID, reason)
    return remaining


def _launch_group(
    master: MasterState,
    framework: MasterFramework,
    agent: Agent,
    role: str,
    remaining: Resources,
    group: mesos.Offer.Operation.LaunchGroup,
) -> Resources:
    """Launch all tasks of the group, or none."""
    _allocate_in_place(group.executor.resources, role)
    for info in group.task_group.tasks:
        _complete_health_check(info)
        _allocate_in_place(info.resources, role)
        if info.HasField("executor"):
            _allocate_in_place(info.executor.resources, role)
        else:
            info.executor.CopyFrom(group.executor)
    reason = group_validation.invalid_group(group, framework, agent)
    new = _new_executor(agent, framework, group.executor)
    if reason is None:
        needed = sum((Resources.of(i.resources) for i in group.task_group.tasks), Resources())
        needed += Resources.of(group.executor.resources) if new else Resources()
        if remaining.contains(needed):
            _start_group(master, framework, agent, group, new)
            return remaining - needed.exclusive()
        reason = f"Task group uses more resources {needed} than available {remaining}"
    for info in group.task_group.tasks:
        _send_status(
            master, framework, info, mesos.TASK_ERROR, Status.REASON_TASK_GROUP_INVALID, reason
        )
    return remaining


def _start_group(
    master: MasterState,
    framework: MasterFramework,
    agent: Agent,
    group: mesos.Offer.Operation.LaunchGroup,
    new: bool,
) -> None:
    for info in group.task_group.tasks:
        tasks.add(master, agent, tasks.new_task(info, framework.id))
    if new:
        tasks.add_executor(agent, group.executor)
    message = internal.RunTaskGroupMessage(
        framework=framework.info,
        executor=group.executor,
        task_group=group.task_group,
        resource_version_uuids=_versions(agent),
        launch_executor=new,
    )
    _convert_for(agent, message.executor.resources)
    for info in message.task_group.tasks:
        _convert_task_for(agent, info)
    master.send(agent, message)


def _send_run_task(
    master: MasterState,
    framework: MasterFramework,
    agent: Agent,
    info: mesos.TaskInfo,
    launch_executor: bool,
) -> None:
    message = internal.RunTaskMessage(
        framework=framework.info,
        pid=HTTP_FRAMEWORK_PID,
        task=info,
        resource_version_uuids=_versions(agent),
        launch_executor=launch_executor,
    )
    _convert_task_for(agent, message.task)
    master.send(agent, message)


def _versions(agent: Agent) -> list[internal.ResourceVersionUUID]:
    if not agent.resource_version:
        return []
    version = internal.ResourceVersionUUID()
    version.uuid.value = agent.resource_version
    return [version]


def _convert_task_for(agent: Agent, info: mesos.TaskInfo) -> None:
    _convert_for(agent, info.resources)
    if info.HasField("executor"):
        _convert_for(agent, info.executor.resources)


def _convert_for(agent: Agent, resources: MutableSequence[mesos.Resource]) -> None:
    """Convert to the format that the agent's capabilities allow, in place."""
    convert_for = operations.convert_for(agent, resources)
    if not agent.can(AgentCapability.MULTI_ROLE):
        for resource in convert_for:
            resource.ClearField("allocation_info")
    del resources[:]
    resources.extend(convert_for)
