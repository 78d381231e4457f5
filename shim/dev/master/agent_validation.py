"""What a master checks in an agent's messages.

``invalid_*`` return why a master drops the message, with only a line in its own log. ``fatal_*``
return what ends a master's process with a failed CHECK; an agent must never send such a message.
None means that nothing is wrong. The rules are written independently of ``wire.safety``, which
checks outgoing messages, so that the tests have two opinions.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from shim.dev.master.master_state import AgentCapability, FrameworkCapability, MasterState
from shim.model.ids import FrameworkId, Pid, TaskId
from shim.model.resource_sets import (
    InvalidResource,
    Resources,
    validate,
    without_dynamic,
)
from shim.model.resources import is_checkpointed
from shim.model.validation import id_problem, role_problem, version_problem
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal


def invalid_version(text: str) -> str | None:
    problem = version_problem(text)
    return f"version: {problem}" if problem else None


def _invalid_resources(resources: Iterable[mesos.Resource]) -> str | None:
    try:
        for resource in resources:
            validate(resource)
    except InvalidResource as error:
        return str(error)
    return None


def invalid_info(slave: mesos.SlaveInfo, checkpointed: Iterable[mesos.Resource]) -> str | None:
    """Checks of SlaveInfo, for registration and re-registration."""
    kept = list(checkpointed)
    if reason := _invalid_resources([*slave.resources, *kept]):
        return reason
    if kept and not slave.checkpoint:
        return "checkpointed_resources without slave.checkpoint"
    if slave.HasField("id"):
        return id_problem(slave.id.value)
    return None


def invalid_domain(slave: mesos.SlaveInfo, master: MasterState) -> str | None:
    if slave.HasField("domain") and master.options.domain is None:
        return "slave.domain is set, and this master has none"
    return None


def invalid_framework(info: mesos.FrameworkInfo) -> str | None:
    """Checks of a FrameworkInfo from an agent or a scheduler."""
    multi = any(c.type == FrameworkCapability.MULTI_ROLE for c in info.capabilities)
    if multi and info.HasField("role"):
        return "'role' must not be set with MULTI_ROLE"
    if not multi and info.roles:
        return "'roles' needs MULTI_ROLE"
    if len(set(info.roles)) != len(info.roles):
        return "'roles' has a duplicate"
    if not abs(info.failover_timeout) < 2**63 / 1e9:
        return f"failover_timeout {info.failover_timeout} is out of range"
    if info.HasField("id") and info.id.value and (reason := id_problem(info.id.value)):
        return reason
    roles = list(info.roles) if multi else [info.role]
    return next((reason for role in roles if (reason := role_problem(role))), None)


def invalid_reregistration(message: internal.ReregisterSlaveMessage) -> str | None:
    """Checks of frameworks, executors and tasks. One bad entry drops the whole message."""
    known: set[str] = set()
    for info in message.frameworks:
        if reason := invalid_framework(info):
            return f"framework {info.id.value}: {reason}"
        if info.id.value in known:
            return f"framework {info.id.value} is there twice"
        known.add(info.id.value)
    executors: set[tuple[str, str]] = set()
    for executor in message.executor_infos:
        if reason := _invalid_executor(executor, known, executors):
            return f"executor {executor.executor_id.value}: {reason}"
        executors.add((executor.framework_id.value, executor.executor_id.value))
    for task in message.tasks:
        if reason := _invalid_task(task, message.slave.id.value, known, executors):
            return f"task {task.task_id.value}: {reason}"
    return None


def _invalid_executor(
    executor: mesos.ExecutorInfo, known: set[str], seen: set[tuple[str, str]]
) -> str | None:
    if reason := id_problem(executor.executor_id.value):
        return reason
    if executor.framework_id.value not in known:
        return "its framework is not in the message"
    if (executor.framework_id.value, executor.executor_id.value) in seen:
        return "it is there twice"
    return _invalid_resources(executor.resources)


def _invalid_task(
    task: mesos.Task, slave_id: str, known: set[str], executors: set[tuple[str, str]]
) -> str | None:
    if reason := id_problem(task.task_id.value):
        return reason
    if task.slave_id.value != slave_id:
        return f"slave_id is {task.slave_id.value}, not {slave_id}"
    if task.framework_id.value not in known:
        return "its framework is not in the message"
    executor = (task.framework_id.value, task.executor_id.value)
    running = task.state == mesos.TASK_RUNNING
    if running and task.HasField("executor_id") and executor not in executors:
        return "it runs under an executor that is not in executor_infos"
    return _invalid_resources(task.resources)


# ---- what ends a master's process ---------------------------------------------------------------


def fatal_info(slave: mesos.SlaveInfo, checkpointed: Iterable[mesos.Resource]) -> str | None:
    """For a first registration, and a re-registration of an agent that is not in memory."""
    if any(len(r.reservations) > 1 for r in slave.resources):
        return "slave.resources has a refined reservation"
    kept = list(checkpointed)
    if any(not is_checkpointed(r) for r in kept):
        return (
            "checkpointed_resources has an entry that is neither a dynamic reservation nor a volume"
        )
    if not Resources.of(slave.resources).contains(Resources.of([without_dynamic(r) for r in kept])):
        return "checkpointed_resources do not fit into slave.resources"
    return None


def fatal_reregistration(
    message: internal.ReregisterSlaveMessage, master: MasterState, *, taken: bool
) -> str | None:
    """``taken``: the master takes tasks and executors from the message (agent not in memory)."""
    if not message.slave.HasField("id"):
        return "slave.id is not set"
    if any(not info.HasField("id") for info in message.frameworks):
        return "a framework has no id"
    for task in message.tasks:
        if task.HasField("status_update_state") != task.HasField("status_update_uuid"):
            return "only one of status_update_state and status_update_uuid is set"
    if not taken:
        return None
    capabilities = {c.type for c in message.agent_capabilities}
    if reason := fatal_info(message.slave, message.checkpointed_resources):
        return reason
    return _fatal_tasks(message, master, AgentCapability.MULTI_ROLE in capabilities)


def _fatal_tasks(
    message: internal.ReregisterSlaveMessage, master: MasterState, multi_role: bool
) -> str | None:
    several = {
        info.id.value for info in message.frameworks if len(info.roles) > 1 and not multi_role
    }
    seen: set[tuple[str, str]] = set()
    for task in message.tasks:
        key = (task.framework_id.value, task.task_id.value)
        framework = master.frameworks.get(FrameworkId(key[0]))
        if key in seen or (framework and TaskId(key[1]) in framework.tasks):
            return f"task {key[1]} is there twice, or on another agent"
        seen.add(key)
        if task.state == mesos.TASK_UNREACHABLE:
            return f"task {key[1]} is TASK_UNREACHABLE"
        if (multi_role or key[0] in several) and _unallocated(task.resources):
            return f"a resource of task {key[1]} has no allocation_info"
    for executor in message.executor_infos:
        needs = multi_role or executor.framework_id.value in several
        if needs and _unallocated(executor.resources):
            return f"a resource of executor {executor.executor_id.value} has no allocation_info"
    return None


def _unallocated(resources: Iterable[mesos.Resource]) -> bool:
    return any(not r.HasField("allocation_info") for r in resources)


def fatal_status(message: internal.StatusUpdateMessage) -> str | None:
    update = message.update
    try:
        Pid.parse(message.pid)
    except ValueError:
        return f"pid {message.pid!r} is not a pid"
    if not update.status.HasField("uuid"):
        return "status.uuid is missing"
    # A real master aborts only at the acknowledgement. The embedded one aborts at once.
    if update.uuid != update.status.uuid:
        return "uuid and status.uuid differ"
    return None


def invalid_status(message: internal.StatusUpdateMessage) -> str | None:
    return None if is_uuid(message.update.uuid) else "uuid is not a UUID"


def is_uuid(value: bytes) -> bool:
    """Whether the bytes are a UUID of version 1 to 5."""
    return len(value) == 16 and uuid.UUID(bytes=value).version in (1, 2, 3, 4, 5)


def fatal_operation_status(
    message: internal.UpdateOperationStatusMessage, capabilities: frozenset[int]
) -> str | None:
    if not message.HasField("slave_id"):
        return "slave_id is missing"
    if not message.HasField("operation_uuid") and not message.HasField("framework_id"):
        return "both operation_uuid and framework_id are missing"
    feedback = {AgentCapability.RESOURCE_PROVIDER, AgentCapability.AGENT_OPERATION_FEEDBACK}
    reliable = message.status.HasField("uuid")
    if reliable and not message.status.HasField("operation_id") and not capabilities & feedback:
        return "a reliable status without operation id, from an agent that cannot have one"
    return None


def fatal_update_slave(message: internal.UpdateSlaveMessage) -> str | None:
    if any(not p.info.HasField("id") for p in message.resource_providers.providers):
        return "a resource provider has no info.id"
    return None
