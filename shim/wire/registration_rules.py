"""What a master requires of RegisterSlaveMessage and ReregisterSlaveMessage.

A violation of one half of these rules aborts the master: after a failover it rebuilds its memory
from the agents' messages. A violation of the other half makes the master drop the message with a
line in its log, and the agent registers again and again. The order of the rules is that of the
fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from shim.wire import field_rules
from shim.wire.field_rules import Problems
from shim.wire.resource_rules import checkpoint_problems, total_problems

RegistrationRequest = internal.RegisterSlaveMessage | internal.ReregisterSlaveMessage
_MULTI_ROLE = mesos.SlaveInfo.Capability.MULTI_ROLE
_RESOURCE_PROVIDER = mesos.SlaveInfo.Capability.RESOURCE_PROVIDER


def register_problems(message: internal.RegisterSlaveMessage) -> Problems:
    if message.slave.HasField("id"):
        yield "slave.id: set; an agent with an id registers again"
    yield from _common(message)


def reregister_problems(message: internal.ReregisterSlaveMessage) -> Problems:
    yield from field_rules.identifier("slave.id", message.slave.id.value)
    yield from _common(message)
    yield from _frameworks(message.frameworks)
    yield from _executors(message)
    yield from _tasks(message)
    yield from _allocations(message)


def _common(message: RegistrationRequest) -> Problems:
    slave = message.slave
    if not slave.hostname:
        yield "slave.hostname: empty"
    for index, resource in enumerate(slave.resources):
        yield from total_problems(f"slave.resources[{index}]", resource)
    if message.checkpointed_resources and not slave.checkpoint:
        yield "slave.checkpoint: false, but there are checkpointed_resources"
    checkpointed = message.checkpointed_resources
    yield from checkpoint_problems("checkpointed_resources", checkpointed, slave.resources)
    yield from field_rules.version("version", message.version)
    if message.HasField("resource_version_uuid"):
        yield from field_rules.uuid("resource_version_uuid", message.resource_version_uuid.value)
    elif _claims(message, _RESOURCE_PROVIDER):
        yield "resource_version_uuid: missing, but RESOURCE_PROVIDER is claimed"


def _claims(message: RegistrationRequest, capability: int) -> bool:
    return any(claimed.type == capability for claimed in message.agent_capabilities)


def _frameworks(frameworks: Sequence[mesos.FrameworkInfo]) -> Problems:
    ids = [framework.id.value for framework in frameworks]
    for index, (framework, name) in enumerate(zip(frameworks, ids, strict=True)):
        field = f"frameworks[{index}]"
        yield from field_rules.identifier(f"{field}.id", name)
        if name in ids[:index]:
            yield f"{field}.id: {name!r} is there twice"
        if _is_multi_role(framework) and framework.HasField("role"):
            yield f"{field}.role: set, but the framework is MULTI_ROLE"
        if not _is_multi_role(framework) and framework.roles:
            yield f"{field}.roles: set, but the framework is not MULTI_ROLE"


def _is_multi_role(framework: mesos.FrameworkInfo) -> bool:
    wanted = mesos.FrameworkInfo.Capability.MULTI_ROLE
    return any(capability.type == wanted for capability in framework.capabilities)


def _executors(message: internal.ReregisterSlaveMessage) -> Problems:
    known = {framework.id.value for framework in message.frameworks}
    seen = set()
    for index, executor in enumerate(message.executor_infos):
        field = f"executor_infos[{index}]"
        key = (executor.framework_id.value, executor.executor_id.value)
        yield from field_rules.identifier(f"{field}.executor_id", key[1])
        if key[0] not in known:
            yield f"{field}.framework_id: {key[0]!r} is not in frameworks"
        if key in seen:
            yield f"{field}: {key[1]!r} of {key[0]!r} is there twice"
        seen.add(key)


def _tasks(message: internal.ReregisterSlaveMessage) -> Problems:
    known = {framework.id.value for framework in message.frameworks}
    executors = {(e.framework_id.value, e.executor_id.value) for e in message.executor_infos}
    seen = set()
    for index, task in enumerate(message.tasks):
        field = f"tasks[{index}]"
        key = (task.framework_id.value, task.task_id.value)
        if key in seen:
            yield f"{field}: {key[1]!r} of {key[0]!r} is there twice"
        seen.add(key)
        yield from field_rules.identifier(f"{field}.task_id", key[1])
        if key[0] not in known:
            yield f"{field}.framework_id: {key[0]!r} is not in frameworks"
        if task.slave_id.value != message.slave.id.value:
            yield f"{field}.slave_id: {task.slave_id.value!r} is another agent's"
        yield from _task_state(field, task)
        executor = (key[0], task.executor_id.value)
        running = task.state == mesos.TASK_RUNNING and task.HasField("executor_id")
        if running and executor not in executors:
            yield f"{field}.executor_id: {executor[1]!r} is running, but not in executor_infos"


def _task_state(field: str, task: mesos.Task) -> Problems:
    if task.state == mesos.TASK_UNREACHABLE:
        yield f"{field}.state: TASK_UNREACHABLE may be set by a master only"
    if task.HasField("status_update_state") != task.HasField("status_update_uuid"):
        yield f"{field}.status_update_uuid: without its state, or the state without it"
    elif task.HasField("status_update_uuid"):
        yield from field_rules.uuid(f"{field}.status_update_uuid", task.status_update_uuid)


def _allocations(message: internal.ReregisterSlaveMessage) -> Problems:
    """Without MULTI_ROLE the master adds the role itself, if the framework has only one."""
    ambiguous = {f.id.value for f in message.frameworks if len(f.roles) > 1}
    claimed = _claims(message, _MULTI_ROLE)
    for index, task in enumerate(message.tasks):
        if claimed or task.framework_id.value in ambiguous:
            yield from _allocated(f"tasks[{index}].resources", task.resources)
    for index, executor in enumerate(message.executor_infos):
        if claimed or executor.framework_id.value in ambiguous:
            yield from _allocated(f"executor_infos[{index}].resources", executor.resources)


def _allocated(field: str, resources: Iterable[mesos.Resource]) -> Problems:
    for index, resource in enumerate(resources):
        if not resource.allocation_info.HasField("role"):
            yield f"{field}[{index}].allocation_info: missing"
