"""Reserved disks, persistent volumes, and the operations on them."""

from __future__ import annotations

import uuid
from typing import Any

from shim.core.context import Decision
from shim.core.volumes import PersistentVolumes
from shim.model.volume import persistent_volume_name
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import (
    Offer,
    OperationState,
    Resource,
    SlaveInfo,
    TaskInfo,
    Value,
    Volume,
)
from tests.core.harness import Shim, agent_info, sent, task_info

Operation = Offer.Operation
OWNER = "host-5051-1"
ROLE = "prod"


def info_with_disk(disk: float = 1000.0) -> SlaveInfo:
    info = agent_info()
    info.resources.add(name="disk", type=Value.SCALAR, role="*").scalar.value = disk
    return info


def shim_with_disk(**settings: Any) -> Shim:
    return Shim(info=info_with_disk(), shim_id=OWNER, **settings)


def disk(size: float, role: str = ROLE) -> Resource:
    """A dynamically reserved disk, as an operation has it."""
    resource = Resource(name="disk", type=Value.SCALAR)
    resource.scalar.value = size
    if role != "*":
        resource.reservations.add(role=role, type=Resource.ReservationInfo.DYNAMIC)
    return resource


def volume(
    name: str = "v", size: float = 100.0, role: str = ROLE, *, shared: bool = False
) -> Resource:
    resource = disk(size, role)
    resource.disk.persistence.id = name
    resource.disk.volume.container_path = "data"
    resource.disk.volume.mode = Volume.RW
    if shared:
        resource.shared.SetInParent()
    return resource


def operation(kind: str, *resources: Resource, name: str = "") -> Operation:
    made = Operation(type=Operation.Type.Value(kind))
    lists: dict[str, Any] = {
        "RESERVE": made.reserve.resources,
        "UNRESERVE": made.unreserve.resources,
        "CREATE": made.create.volumes,
        "DESTROY": made.destroy.volumes,
    }
    lists[kind].extend(resources)
    bare = Operation(type=made.type)
    getattr(bare, kind.lower()).CopyFrom(getattr(made, kind.lower()))
    if name:
        bare.id.value = name
    return bare


_numbers = iter(range(1, 1_000_000))


def message(made: Operation, framework: str = "") -> m.ApplyOperationMessage:
    """With a uuid of its own."""
    result = m.ApplyOperationMessage(operation_info=made)
    number = next(_numbers)
    result.operation_uuid.value = uuid.UUID(int=number << 64, version=4).bytes
    result.resource_version_uuid.uuid.value = uuid.UUID(int=0, version=4).bytes
    if framework:
        result.framework_id.value = framework
        result.operation_info.id.value = f"operation {number}"
    return result


def apply(shim: Shim, kind: str, *resources: Resource, framework: str = "") -> Decision:
    return shim.receive(message(operation(kind, *resources), framework))


def with_volume(shim: Shim, *names: str) -> Shim:
    """The agent has these volumes, and nothing about them is to be acknowledged."""
    for name in names or ("v",):
        apply(shim, "RESERVE", disk(100.0))
        acknowledge(shim)
        apply(shim, "CREATE", volume(name))
        acknowledge(shim)
    return shim


def reports(decision: Decision) -> list[m.UpdateOperationStatusMessage]:
    return sent(m.UpdateOperationStatusMessage, decision.orders)


def states(decision: Decision) -> list[str]:
    return [OperationState.Name(report.status.state) for report in reports(decision)]


def acknowledge(shim: Shim, decision: Decision | None = None) -> Decision:
    """The master acknowledges the one status that the (last) decision sends."""
    (report,) = reports(decision or shim.decision)
    answer = m.AcknowledgeOperationStatusMessage()
    answer.status_uuid.value = report.status.uuid.value
    answer.operation_uuid.value = report.operation_uuid.value
    return shim.receive(answer)


def task_with(*volumes: Resource, name: str = "t") -> TaskInfo:
    info = task_info(name)
    for each in volumes:
        resource = info.resources.add()
        resource.CopyFrom(each)
        resource.allocation_info.role = ROLE
    return info


def name_of(persistence_id: str = "v", role: str = ROLE, generation: int = 0) -> str:
    return persistent_volume_name(OWNER, role, persistence_id, generation)


def volumes_of(shim: Shim) -> PersistentVolumes:
    return shim.core.volumes
