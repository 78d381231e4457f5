"""Messages that a master would abort for, or drop silently, are not encoded.

Every case changes one field of a valid message.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from shim.errors import UnsafeMessage
from shim.protos import authentication_pb2 as auth
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from shim.wire import safety
from tests.wire import transcripts

Capability = mesos.SlaveInfo.Capability
UUID4 = uuid.UUID("890d5adf-8d43-4644-b0c3-a1f5e0d7c2aa").bytes
TASK = mesos.TaskID(value="t")
AGENT = mesos.SlaveID(value="m-S0")
FRAMEWORK = mesos.FrameworkID(value="m-0000")


def scalar(name: str, value: float, **more: Any) -> mesos.Resource:
    number = mesos.Value.Scalar(value=value)
    return mesos.Resource(name=name, type=mesos.Value.SCALAR, scalar=number, **more)


def ports(*spans: tuple[int, int], **more: Any) -> mesos.Resource:
    ranges = [mesos.Value.Range(begin=begin, end=end) for begin, end in spans]
    value = mesos.Value.Ranges(range=ranges)
    return mesos.Resource(name="ports", type=mesos.Value.RANGES, ranges=value, **more)


def reserved(resource: mesos.Resource, role: str = "web") -> mesos.Resource:
    resource.role = role
    resource.reservation.principal = "ops"
    return resource


def volume(value: float, source: mesos.Resource.DiskInfo.Source | None = None) -> mesos.Resource:
    disk = mesos.Resource.DiskInfo(source=source)
    disk.persistence.id = "v"
    return scalar("disk", value, disk=disk)


def claims(*types: Capability.Type.ValueType) -> list[Capability]:
    return [Capability(type=kind) for kind in types]


def update() -> internal.StatusUpdateMessage:
    status = mesos.TaskStatus(task_id=TASK, state=mesos.TASK_FAILED, uuid=UUID4)
    inner = internal.StatusUpdate(
        framework_id=FRAMEWORK, slave_id=AGENT, status=status, timestamp=1.0, uuid=UUID4
    )
    return internal.StatusUpdateMessage(update=inner, pid="slave(1)@10.0.0.9:5051")


def register() -> internal.RegisterSlaveMessage:
    return internal.RegisterSlaveMessage(
        slave=mesos.SlaveInfo(
            hostname="h",
            checkpoint=True,
            resources=[
                scalar("cpus", 4),
                scalar("mem", 1024.5),
                ports((1, 10), (11, 20)),
                scalar("gpus", 2, role="static"),
            ],
        ),
        version="1.11.0",
        agent_capabilities=claims(Capability.MULTI_ROLE),
    )


def reregister() -> internal.ReregisterSlaveMessage:
    first = register()
    first.slave.id.CopyFrom(AGENT)
    allocated = scalar("cpus", 1, allocation_info=mesos.Resource.AllocationInfo(role="*"))
    return internal.ReregisterSlaveMessage(
        slave=first.slave,
        version=first.version,
        agent_capabilities=first.agent_capabilities,
        frameworks=[mesos.FrameworkInfo(user="u", name="n", id=FRAMEWORK)],
        executor_infos=[
            mesos.ExecutorInfo(
                executor_id=mesos.ExecutorID(value="e"),
                framework_id=FRAMEWORK,
                resources=[allocated],
            )
        ],
        tasks=[
            mesos.Task(
                name="t",
                task_id=TASK,
                framework_id=FRAMEWORK,
                slave_id=AGENT,
                state=mesos.TASK_RUNNING,
                resources=[allocated],
                status_update_state=mesos.TASK_RUNNING,
                status_update_uuid=UUID4,
            )
        ],
    )


def update_slave() -> internal.UpdateSlaveMessage:
    version = mesos.UUID(value=UUID4)
    message = internal.UpdateSlaveMessage(slave_id=AGENT, resource_version_uuid=version)
    message.operations.operations.append(operation(mesos.OPERATION_PENDING))
    provider = message.resource_providers.providers.add(resource_version_uuid=version)
    provider.info.type = provider.info.name = provider.info.id.value = "p"
    provider.operations.operations.append(operation(mesos.OPERATION_FINISHED))
    return message


def operation(state: mesos.OperationState.ValueType) -> mesos.Operation:
    status = mesos.OperationStatus(state=state)
    info = mesos.Offer.Operation(type=mesos.Offer.Operation.RESERVE)
    return mesos.Operation(info=info, latest_status=status, uuid=mesos.UUID(value=UUID4))


def operation_status() -> internal.UpdateOperationStatusMessage:
    known = mesos.OperationID(value="o")
    version = mesos.UUID(value=UUID4)
    status = mesos.OperationStatus(state=mesos.OPERATION_FINISHED, uuid=version, operation_id=known)
    return internal.UpdateOperationStatusMessage(
        slave_id=AGENT, status=status, operation_uuid=version
    )


def exited() -> internal.ExitedExecutorMessage:
    executor = mesos.ExecutorID(value="e")
    return internal.ExitedExecutorMessage(
        slave_id=AGENT, framework_id=FRAMEWORK, executor_id=executor, status=-1
    )


def authenticate() -> auth.AuthenticateMessage:
    return auth.AuthenticateMessage(pid="slave(1)@10.0.0.9:5051")


GOOD = (update, register, reregister, update_slave, operation_status, exited, authenticate)


@pytest.mark.parametrize("make", GOOD)
def test_valid_messages_pass(make: Callable[[], Any]) -> None:
    safety.check(make())


def change_field(path: str, value: Any) -> Callable[[Any], None]:
    """Set the field at the path; None clears it."""
    *way, last = path.split(".")

    def change(message: Any) -> None:
        for step in way:
            name, _, index = step.partition("[")
            message = getattr(message, name)
            if index:
                message = message[int(index[:-1])]
        if value is None:
            message.ClearField(last)
        else:
            setattr(message, last, value)

    return change


def twice(field: str) -> Callable[[Any], None]:
    return lambda m: getattr(m, field).append(getattr(m, field)[0])


def add(path: str, *items: Any) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            message = getattr(message, step)
        getattr(message, last).extend(items)

    return change


def both(*changes: Callable[[Any], None]) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        for each in changes:
            each(message)

    return change


several_roles = both(
    change_field("agent_capabilities", None),
    add("frameworks", mesos.FrameworkInfo(user="u", name="n", id=mesos.FrameworkID(value="x"))),
    lambda m: m.frameworks[0].roles.extend(["a", "b"]),
    lambda m: m.frameworks[0].capabilities.add(type=mesos.FrameworkInfo.Capability.MULTI_ROLE),
)

STATUS_UPDATES = [
    (change_field("pid", None), r"StatusUpdateMessage.pid: not a pid: ''"),
    (change_field("pid", "slave(1)"), r"pid: not a pid"),
    (change_field("pid", "@0.0.0.0:0"), r"pid: a pid without an address"),
    (change_field("update.uuid", None), r"update.uuid: 0 bytes"),
    (change_field("update.status.uuid", None), r"update.status.uuid: not that of the update"),
    (change_field("update.status.uuid", b"y" * 16), r"update.status.uuid: not that of the update"),
    (
        both(
            change_field("update.uuid", b"\0" * 16), change_field("update.status.uuid", b"\0" * 16)
        ),
        r"update.uuid: not a UUID of version 1 to 5",
    ),
    (change_field("update.slave_id", None), r"update.slave_id: empty"),
    (change_field("update.framework_id.value", ".."), r"update.framework_id: not an id"),
    (change_field("update.status.task_id.value", "a/b"), r"update.status.task_id: not an id"),
    (change_field("update.status.state", mesos.TASK_STAGING), r"update.status.state: TASK_STAGING"),
    (change_field("update.status.state", mesos.TASK_UNREACHABLE), r"update.status.state"),
    (change_field("update.latest_state", mesos.TASK_UNKNOWN), r"update.latest_state: TASK_UNKNOWN"),
    (change_field("update.status.state", None), r"update.status.state: missing"),
]

REGISTRATIONS = [
    (change_field("slave.id.value", "m-S0"), r"slave.id: set"),
    (change_field("slave.hostname", ""), r"slave.hostname: empty"),
    (change_field("version", None), r"version: not a version"),
    (change_field("version", "0.28.3"), r"version: not a version"),
    (change_field("version", "latest"), r"version: not a version"),
    (change_field("slave.resources[0].name", ""), r"slave.resources\[0\].name: empty"),
    (change_field("slave.resources[0].type", mesos.Value.SET), r"resources\[0\].type: set"),
    (change_field("slave.resources[0].scalar", None), r"resources\[0\].type: scalar, but.*missing"),
    (change_field("slave.resources[0].scalar.value", 0.0004), r"scalar: 0.0004 is not above zero"),
    (change_field("slave.resources[0].scalar.value", -1), r"scalar: -1.0 is not above zero"),
    (change_field("slave.resources[0].scalar.value", float("nan")), r"scalar: nan"),
    (add("slave.resources", ports((5, 4))), r"ranges: reversed"),
    (add("slave.resources", ports((1, 5), (5, 9))), r"ranges: reversed or overlapping"),
    (change_field("slave.resources[0].disk.persistence.id", "x"), r"disk: only for the resource"),
    (change_field("slave.resources[0].reservation.principal", "x"), r"reservation: role"),
    (change_field("slave.resources[0].allocation_info.role", "x"), r"allocation_info: a total"),
    (
        add("slave.resources", scalar("mem", 1, reservations=[{"role": "a"}, {"role": "a/b"}])),
        r"resources\[4\].reservations: refined",
    ),
    (
        both(change_field("slave.checkpoint", None), add("checkpointed_resources", volume(1))),
        r"slave.checkpoint: false",
    ),
    (
        add("agent_capabilities", Capability(type=Capability.RESOURCE_PROVIDER)),
        r"resource_version_uuid: missing",
    ),
    (change_field("resource_version_uuid.value", b"short"), r"resource_version_uuid: 5 bytes"),
]

CHECKPOINTED = [
    ([scalar("cpus", 1)], r"checkpointed_resources\[0\]: neither"),
    ([reserved(scalar("cpus", 4.001))], r"more cpus of role '\*'"),
    ([reserved(scalar("cpus", 3)), reserved(scalar("cpus", 3), "db")], r"more cpus"),
    ([volume(1)], r"more disk"),
    ([reserved(ports((19, 21)))], r"more ports"),
    ([reserved(ports((5, 6))), reserved(ports((6, 7)), "db")], r"more ports"),
    ([reserved(scalar("tape", 1))], r"more tape"),
    (
        [
            scalar(
                "gpus", 3, reservations=[{"type": 1, "role": "static"}, {"type": 2, "role": "s/x"}]
            )
        ],
        r"more gpus of role 'static'",
    ),
]

REREGISTRATIONS = [
    (change_field("slave.id", None), r"ReregisterSlaveMessage.slave.id: empty"),
    (change_field("version", "0.1"), r"version"),
    (change_field("frameworks[0].id", None), r"frameworks\[0\].id: empty"),
    (twice("frameworks"), r"frameworks\[1\].id: 'm-0000' is there twice"),
    (lambda m: m.frameworks[0].roles.append("a"), r"frameworks\[0\].roles: set, but"),
    (
        both(
            change_field("frameworks[0].role", "a"),
            lambda m: m.frameworks[0].capabilities.add(type=6),
        ),
        r"frameworks\[0\].role: set, but",
    ),
    (twice("executor_infos"), r"executor_infos\[1\]: 'e' of 'm-0000' is there twice"),
    (change_field("executor_infos[0].framework_id", None), r"executor_infos\[0\].framework_id: ''"),
    (
        change_field("executor_infos[0].executor_id.value", "a\nb"),
        r"executor_infos\[0\].executor_id",
    ),
    (
        change_field("executor_infos[0].resources[0].allocation_info", None),
        r"allocation_info: missing",
    ),
    (twice("tasks"), r"tasks\[1\]: 't' of 'm-0000' is there twice"),
    (change_field("tasks[0].task_id.value", ""), r"tasks\[0\].task_id: empty"),
    (change_field("tasks[0].framework_id.value", "z"), r"tasks\[0\].framework_id: 'z' is not in"),
    (change_field("tasks[0].slave_id.value", "z"), r"tasks\[0\].slave_id: 'z' is another agent's"),
    (change_field("tasks[0].state", mesos.TASK_UNREACHABLE), r"tasks\[0\].state: TASK_UNREACHABLE"),
    (change_field("tasks[0].status_update_state", None), r"tasks\[0\].status_update_uuid: without"),
    (change_field("tasks[0].status_update_uuid", None), r"tasks\[0\].status_update_uuid: without"),
    (change_field("tasks[0].status_update_uuid", b""), r"tasks\[0\].status_update_uuid: 0 bytes"),
    (change_field("tasks[0].executor_id.value", "t"), r"tasks\[0\].executor_id: 't' is running"),
    (
        change_field("tasks[0].resources[0].allocation_info", None),
        r"tasks\[0\].resources\[0\].alloc",
    ),
    (
        both(several_roles, change_field("tasks[0].resources[0].allocation_info", None)),
        r"tasks\[0\].resources\[0\].allocation_info: missing",
    ),
]

UPDATES_OF_AGENTS = [
    (change_field("slave_id.value", ""), r"slave_id: empty"),
    (add("oversubscribed_resources", scalar("cpus", 1)), r"oversubscribed_resources\[0\].rev"),
    (change_field("resource_version_uuid.value", b""), r"resource_version_uuid: 0 bytes"),
    (
        change_field("resource_providers.providers[0].info.id", None),
        r"providers\[0\].info.id: empty",
    ),
    (
        lambda m: m.resource_providers.providers[0].operations.operations.append(
            operation(mesos.OPERATION_PENDING)
        ),
        r"operations.operations\[1\].latest_status.state: not final",
    ),
    (lambda m: setattr(m.operations.operations[0].uuid, "value", b""), r"\[0\].uuid: 0 bytes"),
]

OPERATION_STATUSES = [
    (change_field("slave_id", None), r"slave_id: empty"),
    (change_field("operation_uuid", None), r"operation_uuid: missing, and framework_id"),
    (change_field("operation_uuid.value", b"x"), r"operation_uuid: 1 bytes"),
    (change_field("status.uuid.value", b"x"), r"status.uuid: 1 bytes"),
    (change_field("status.operation_id", None), r"status.uuid: set without operation_id"),
]

BAD = [
    *((update, *case) for case in STATUS_UPDATES),
    *((register, *case) for case in REGISTRATIONS),
    *((register, add("checkpointed_resources", *found), why) for found, why in CHECKPOINTED),
    *((reregister, *case) for case in REREGISTRATIONS),
    *((update_slave, *case) for case in UPDATES_OF_AGENTS),
    *((operation_status, *case) for case in OPERATION_STATUSES),
    (exited, change_field("slave_id.value", ""), r"slave_id: empty"),
    (exited, change_field("executor_id.value", "x" * 256), r"executor_id: more than 255 bytes"),
    (authenticate, change_field("pid", "slave(1)"), r"AuthenticateMessage.pid"),
    (
        lambda: internal.UnregisterSlaveMessage(slave_id=AGENT),
        change_field("slave_id.value", "\x7f"),
        r"UnregisterSlaveMessage.slave_id: not an id",
    ),
]


@pytest.mark.parametrize(("make", "change", "why"), BAD)
def test_messages_that_harm_a_master_are_unsafe(
    make: Callable[[], Any], change: Callable[[Any], None], why: str
) -> None:
    message = make()
    change(message)
    with pytest.raises(UnsafeMessage, match=why):
        safety.check(message)


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (update, change_field("update.status.state", mesos.TASK_LOST)),
        (update, change_field("update.status.task_id.value", "ä:*?é" + "x" * 240)),
        (register, change_field("version", "1.12.0-dev+g1")),
        (register, change_field("agent_capabilities", None)),
        (register, add("checkpointed_resources", reserved(scalar("cpus", 4)))),
        (register, add("checkpointed_resources", reserved(ports((9, 12))))),
        (
            register,
            add(
                "checkpointed_resources", scalar("mem", 1, reservations=[{"type": 2, "role": "a"}])
            ),
        ),
        (reregister, several_roles),
        (
            reregister,
            both(
                change_field("agent_capabilities", None),
                change_field("tasks[0].resources[0].allocation_info", None),
            ),
        ),
        (
            reregister,
            both(
                change_field("tasks[0].status_update_uuid", None),
                change_field("tasks[0].status_update_state", None),
            ),
        ),
        (reregister, change_field("tasks[0].executor_id.value", "e")),
        (
            operation_status,
            both(change_field("status.operation_id", None), change_field("status.uuid", None)),
        ),
    ],
)
def test_harmless_messages_pass(make: Callable[[], Any], change: Callable[[Any], None]) -> None:
    message = make()
    change(message)
    safety.check(message)


def test_operation_feedback_without_an_id_needs_the_capability() -> None:
    message = operation_status()
    message.status.ClearField("operation_id")
    for capability in (Capability.RESOURCE_PROVIDER, Capability.AGENT_OPERATION_FEEDBACK):
        safety.check(message, {capability})
    with pytest.raises(UnsafeMessage):
        safety.check(message, {Capability.MULTI_ROLE})


def test_exclusive_disks() -> None:
    source = mesos.Resource.DiskInfo.Source(type=mesos.Resource.DiskInfo.Source.MOUNT)
    source.mount.root = "/mnt/1"
    message = register()
    message.slave.resources.append(scalar("disk", 100, disk=mesos.Resource.DiskInfo(source=source)))
    message.checkpointed_resources.append(volume(100, source))
    safety.check(message)
    message.checkpointed_resources[0].scalar.value = 50
    with pytest.raises(UnsafeMessage, match="more disk"):
        safety.check(message)


def test_every_invalid_field_is_named() -> None:
    message = update()
    message.pid = ""
    message.update.ClearField("slave_id")
    with pytest.raises(UnsafeMessage, match=r"pid: .*; update.slave_id: empty"):
        safety.check(message)


def test_every_recorded_message_of_a_stock_agent_passes() -> None:
    kinds = {m.name for m in transcripts.everything() if not m.to_agent}
    assert {f"mesos.internal.{name}Message" for name in ("StatusUpdate", "ReregisterSlave")} < kinds
