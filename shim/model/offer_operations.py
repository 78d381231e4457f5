"""What an offer operation consumes and creates. Pure.

Mesos: ``common/resources_utils.cpp``. Agent and master apply an operation to their resources in the
same way, so that both have the same resources afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shim.model.resource_sets import InvalidResource, Resources, upgraded
from shim.model.resources import is_checkpointed
from shim.protos.mesos_pb2 import Offer, Resource

Operation = Offer.Operation


def conversion(operation: Operation) -> tuple[Resources, Resources]:
    """The resources that an operation consumes and creates. Raises InvalidResource."""
    match operation.type:
        case Operation.RESERVE:
            return _reserve(operation.reserve)
        case Operation.UNRESERVE:
            consumed = _all(operation.unreserve.resources)
            return Resources.of(consumed), Resources.of(map(_unreserved, consumed))
        case Operation.CREATE:
            created = _all(operation.create.volumes)
            return Resources.of(map(plain_disk, created)), Resources.of(created)
        case Operation.DESTROY:
            consumed = _all(operation.destroy.volumes)
            return Resources.of(consumed), Resources.of(map(plain_disk, consumed))
        case Operation.GROW_VOLUME:
            volume, addition = operation.grow_volume.volume, operation.grow_volume.addition
            plain_disk(volume)
            grown = _resized(volume, addition.scalar.value)
            return Resources.of([volume, addition]), Resources.of([grown])
        case Operation.SHRINK_VOLUME:
            volume, less = operation.shrink_volume.volume, operation.shrink_volume.subtract.value
            freed = plain_disk(volume)
            freed.scalar.value = less
            return Resources.of([volume]), Resources.of([_resized(volume, -less), freed])
    raise InvalidResource(f"{Operation.Type.Name(operation.type)} is not supported")


def resources_of(operation: Operation) -> Iterator[Resource]:
    """The resources in the operation itself, for changes in place."""
    yield from operation.reserve.resources
    yield from operation.reserve.source
    yield from operation.unreserve.resources
    yield from operation.create.volumes
    yield from operation.destroy.volumes
    for resized in (operation.grow_volume, operation.shrink_volume):
        if resized.HasField("volume"):
            yield resized.volume
    if operation.grow_volume.HasField("addition"):
        yield operation.grow_volume.addition


def plain_disk(volume: Resource) -> Resource:
    """The disk that a persistent volume was created from. Raises InvalidResource for others."""
    if not volume.disk.HasField("persistence"):
        raise InvalidResource(f"{volume.name} is not a persistent volume")
    new = upgraded(volume)
    new.disk.ClearField("persistence")
    new.disk.ClearField("volume")
    new.ClearField("shared")
    if not new.disk.HasField("source"):
        new.ClearField("disk")
    return new


def _reserve(reserve: Operation.Reserve) -> tuple[Resources, Resources]:
    """``source`` is what to reserve in place of the resources without their last reservation."""
    created = _all(reserve.resources)
    source = _all(reserve.source) if reserve.source else list(map(_unreserved, created))
    return Resources.of(source), Resources.of(created)


def _all(resources: Iterable[Resource]) -> list[Resource]:
    found = [upgraded(resource) for resource in resources]
    if not found:
        raise InvalidResource("the operation has no resources")
    return found


def _unreserved(resource: Resource) -> Resource:
    if not is_checkpointed(resource) or not resource.reservations:
        raise InvalidResource(f"{resource.name} has no dynamic reservation")
    new = upgraded(resource)
    del new.reservations[-1]
    return new


def _resized(volume: Resource, more: float) -> Resource:
    new = upgraded(volume)
    new.scalar.value += more
    return new
