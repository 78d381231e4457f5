"""What a master checks before it believes an agent: three kinds of answer.

``refused_*`` return why a master would drop a message with only a line in its own log;
``abort_*`` return what would make a master's process die (facts 4.12), which nothing of ours may
ever send. None: nothing is wrong.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable

from shim.dev.master.resources import Bag, InvalidResource, is_dynamic, stripped, validate
from shim.dev.master.state import AgentCapability, FrameworkCapability, World
from shim.model.ids import FrameworkId, Pid, TaskId
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

_SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
MAX_ID = 255


def bad_id(value: str) -> str | None:
    """Why no id of Mesos may look like this."""
    if not value:
        return "an id is empty"
    if len(value) > MAX_ID:
        return f"an id has {len(value)} characters, more than {MAX_ID}"
    if value in (".", "..") or any(c in "/\\" or ord(c) < 32 or ord(c) == 127 for c in value):
        return f"{value!r} is no id"
    return None


def bad_role(role: str) -> str | None:
    """Why no role may be called this."""
    if role == "*":
        return None
    for part in role.split("/"):
        if not part or part in (".", "..", "*") or part.startswith("-"):
            return f"{role!r} is no role"
        if any(c in "\\" or c.isspace() or ord(c) < 32 for c in part):
            return f"{role!r} is no role"
    return None


def refused_version(text: str) -> str | None:
    match = _SEMVER.fullmatch(text)
    if match is None:
        return f"version {text!r} is not of the form 1.2.3"
    return None if int(match[1]) >= 1 else f"version {text} is older than 1.0.0"


def _refused_resources(resources: Iterable[mesos.Resource]) -> str | None:
    try:
        for resource in resources:
            validate(resource)
    except InvalidResource as error:
        return str(error)
    return None


def refused_info(slave: mesos.SlaveInfo, checkpointed: Iterable[mesos.Resource]) -> str | None:
    """Checks of SlaveInfo that registration and re-registration share."""
    kept = list(checkpointed)
    if reason := _refused_resources([*slave.resources, *kept]):
        return reason
    if kept and not slave.checkpoint:
        return "checkpointed_resources without slave.checkpoint"
    if slave.HasField("id"):
        return bad_id(slave.id.value)
    return None


def refused_domain(slave: mesos.SlaveInfo, world: World) -> str | None:
    if slave.HasField("domain") and world.options.domain is None:
        return "slave.domain is set, and this master has none"
    return None


def refused_framework(info: mesos.FrameworkInfo) -> str | None:
    """Why a FrameworkInfo is invalid, from an agent or from the framework itself."""
    multi = any(c.type == FrameworkCapability.MULTI_ROLE for c in info.capabilities)
    if multi and info.HasField("role"):
        return "'role' must not be set with MULTI_ROLE"
    if not multi and info.roles:
        return "'roles' needs MULTI_ROLE"
    if len(set(info.roles)) != len(info.roles):
        return "'roles' has a duplicate"
    if not abs(info.failover_timeout) < 2**63 / 1e9:
        return f"failover_timeout {info.failover_timeout} is out of range"
    if info.HasField("id") and info.id.value and (reason := bad_id(info.id.value)):
        return reason
    roles = list(info.roles) if multi else [info.role]
    return next((reason for role in roles if (reason := bad_role(role))), None)


def refused_reregistration(message: internal.ReregisterSlaveMessage) -> str | None:
    """Checks of frameworks, executors and tasks; one bad entry drops the whole message."""
    known: set[str] = set()
    for info in message.frameworks:
        if reason := refused_framework(info):
            return f"framework {info.id.value}: {reason}"
        if info.id.value in known:
            return f"framework {info.id.value} is there twice"
        known.add(info.id.value)
    executors: set[tuple[str, str]] = set()
    for executor in message.executor_infos:
        if reason := _refused_executor(executor, known, executors):
            return f"executor {executor.executor_id.value}: {reason}"
        executors.add((executor.framework_id.value, executor.executor_id.value))
    for task in message.tasks:
        if reason := _refused_task(task, message.slave.id.value, known, executors):
            return f"task {task.task_id.value}: {reason}"
    return None


def _refused_executor(
    executor: mesos.ExecutorInfo, known: set[str], seen: set[tuple[str, str]]
) -> str | None:
    if reason := bad_id(executor.executor_id.value):
        return reason
    if executor.framework_id.value not in known:
        return "its framework is not in the message"
    if (executor.framework_id.value, executor.executor_id.value) in seen:
        return "it is there twice"
    return _refused_resources(executor.resources)


def _refused_task(
    task: mesos.Task, slave_id: str, known: set[str], executors: set[tuple[str, str]]
) -> str | None:
    if reason := bad_id(task.task_id.value):
        return reason
    if task.slave_id.value != slave_id:
        return f"slave_id is {task.slave_id.value}, not {slave_id}"
    if task.framework_id.value not in known:
        return "its framework is not in the message"
    executor = (task.framework_id.value, task.executor_id.value)
    running = task.state == mesos.TASK_RUNNING
    if running and task.HasField("executor_id") and executor not in executors:
        return "it runs under an executor that is not in executor_infos"
    return _refused_resources(task.resources)


# ---- what a master would not survive -----------------------------------------------------------


def abort_info(
    slave: mesos.SlaveInfo, checkpointed: Iterable[mesos.Resource], capabilities: Iterable[int]
) -> str | None:
    """At a first registration and on the paths where everything is taken from the message."""
    if any(len(r.reservations) > 1 for r in slave.resources):
        return "slave.resources has a refined reservation"
    kept = list(checkpointed)
    if any(not is_dynamic(r) for r in kept):
        return "checkpointed_resources has what is neither a dynamic reservation nor a volume"
    if not Bag.of(slave.resources).covers(Bag.of([stripped(r) for r in kept])):
        return "checkpointed_resources do not fit into slave.resources"
    return None


def abort_reregistration(
    message: internal.ReregisterSlaveMessage, world: World, *, taken: bool
) -> str | None:
    """``taken``: tasks and executors are taken from the message (paths B and C)."""
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
    if reason := abort_info(message.slave, message.checkpointed_resources, capabilities):
        return reason
    return _abort_tasks(message, world, AgentCapability.MULTI_ROLE in capabilities)


def _abort_tasks(
    message: internal.ReregisterSlaveMessage, world: World, multi_role: bool
) -> str | None:
    several = {
        info.id.value for info in message.frameworks if len(info.roles) > 1 and not multi_role
    }
    seen: set[tuple[str, str]] = set()
    for task in message.tasks:
        key = (task.framework_id.value, task.task_id.value)
        framework = world.frameworks.get(FrameworkId(key[0]))
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


def abort_status(message: internal.StatusUpdateMessage) -> str | None:
    update = message.update
    try:
        Pid.parse(message.pid)
    except ValueError:
        return f"pid {message.pid!r} is none"
    if not update.status.HasField("uuid"):
        return "status.uuid is missing"
    # A real master lives on until the acknowledgement; there is no reason to wait for it.
    if update.uuid != update.status.uuid:
        return "uuid and status.uuid differ"
    return None


def refused_status(message: internal.StatusUpdateMessage) -> str | None:
    return None if is_uuid(message.update.uuid) else "uuid is no UUID"


def is_uuid(value: bytes) -> bool:
    """Sixteen bytes whose version is 1 to 5."""
    return len(value) == 16 and uuid.UUID(bytes=value).version in (1, 2, 3, 4, 5)


def abort_operation_status(
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


def abort_update_slave(message: internal.UpdateSlaveMessage) -> str | None:
    if any(not p.info.HasField("id") for p in message.resource_providers.providers):
        return "a resource provider has no info.id"
    return None
