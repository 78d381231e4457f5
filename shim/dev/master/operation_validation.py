"""What a master checks in an offer operation before it applies it.

Source: Mesos' ``master/validation.cpp``, namespace ``operation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shim.dev.master.master_state import (
    Agent,
    AgentCapability,
    FrameworkCapability,
    MasterFramework,
)
from shim.model.resource_sets import Resources, upgraded
from shim.model.resources import is_checkpointed, role_of
from shim.model.validation import id_problem
from shim.protos import mesos_pb2 as mesos

Operation = mesos.Offer.Operation


def invalid_operation(
    operation: Operation, agent: Agent, framework: MasterFramework | None
) -> str | None:
    """Why the operation is rejected; None for a valid one. No ``framework``: an operator's."""
    return next(_problems(operation, agent, framework), None)


def _problems(
    operation: Operation, agent: Agent, framework: MasterFramework | None
) -> Iterator[str]:
    match operation.type:
        case Operation.RESERVE:
            yield from _reserve(operation.reserve, framework)
        case Operation.UNRESERVE:
            for resource in operation.unreserve.resources:
                if resource.disk.HasField("persistence"):
                    name = resource.disk.persistence.id
                    yield f"volume {name!r} cannot be unreserved: destroy it first"
        case Operation.CREATE:
            yield from _create(operation.create.volumes, agent, framework)
        case Operation.DESTROY:
            yield from _destroy(operation.destroy.volumes, agent)
        case Operation.GROW_VOLUME:
            yield from _resize(operation.grow_volume.volume, agent)
            if operation.grow_volume.addition.scalar.value <= 0:
                yield "the size of 'GrowVolume.addition' is not above zero"
        case Operation.SHRINK_VOLUME:
            yield from _resize(operation.shrink_volume.volume, agent)
            subtract = operation.shrink_volume.subtract.value
            if not 0 < subtract < operation.shrink_volume.volume.scalar.value:
                yield "'ShrinkVolume.subtract' is not between zero and the volume's size"


def _reserve(reserve: Operation.Reserve, framework: MasterFramework | None) -> Iterator[str]:
    for resource in reserve.resources:
        role = role_of(resource)
        if framework is None:
            continue
        if role not in framework.roles:
            yield f"{resource.name} is reserved for role {role!r}, which the framework lacks"
        principal = framework.info.principal
        if principal and _principal(resource) != principal:
            yield f"{resource.name} is reserved by another principal than {principal!r}"


def _principal(resource: mesos.Resource) -> str:
    reservations = upgraded(resource).reservations
    return reservations[-1].principal if reservations else ""


def _create(
    volumes: Iterable[mesos.Resource], agent: Agent, framework: MasterFramework | None
) -> Iterator[str]:
    taken = {
        (role_of(each), each.disk.persistence.id)
        for each in agent.checkpointed.resources()
        if each.disk.HasField("persistence")
    }
    for volume in volumes:
        disk, key = volume.disk, (role_of(volume), volume.disk.persistence.id)
        if problem := id_problem(disk.persistence.id):
            yield f"Invalid persistence ID for persistent volume: {problem}"
        if key in taken:
            yield f"Persistence ID {key[1]!r} is not unique"
        taken.add(key)
        if not disk.HasField("volume"):
            yield "Expecting 'volume' to be set for persistent volume"
        if disk.volume.mode == mesos.Volume.RO:
            yield "Read-only persistent volume not supported"
        if disk.volume.HasField("host_path"):
            yield "Expecting 'host_path' to be unset for persistent volume"
        if key[0] == "*":
            yield "Persistent volumes cannot be created from unreserved resources"
        if volume.HasField("shared") and framework is not None and not _shares(framework):
            yield "a framework without SHARED_RESOURCES creates no shared volume"


def _shares(framework: MasterFramework) -> bool:
    return framework.can(FrameworkCapability.SHARED_RESOURCES)


def _destroy(volumes: Iterable[mesos.Resource], agent: Agent) -> Iterator[str]:
    for volume in volumes:
        one = Resources.of([volume])
        if not agent.checkpointed.contains(one):
            yield "Persistent volumes not found"
        used = [entry.resources for entry in agent.tasks.values() if not entry.terminal]
        used += [Resources.of(executor.resources) for executor in agent.executors.values()]
        if any(each.contains(one) for each in used):
            yield "Persistent volumes in use"


def _resize(volume: mesos.Resource, agent: Agent) -> Iterator[str]:
    if not is_checkpointed(volume) or not volume.disk.HasField("persistence"):
        yield f"{volume.name} is not a persistent volume"
    if volume.HasField("shared"):
        yield "a shared volume cannot be resized"
    if not agent.can(AgentCapability.RESIZE_VOLUME):
        yield "the agent lacks RESIZE_VOLUME"
