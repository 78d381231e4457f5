"""What an offer operation consumes and creates."""

from __future__ import annotations

import pytest

from shim.model.offer_operations import conversion, plain_disk, resources_of
from shim.model.resource_sets import InvalidResource, Resources
from shim.protos.mesos_pb2 import Offer, Resource, Value, Volume

Operation = Offer.Operation


def disk(size: float, *roles: str) -> Resource:
    resource = Resource(name="disk", type=Value.SCALAR)
    resource.scalar.value = size
    for role in roles:
        resource.reservations.add(role=role, type=Resource.ReservationInfo.DYNAMIC, principal="p")
    return resource


def volume(size: float, name: str = "v", *, path: str = "data", shared: bool = False) -> Resource:
    resource = disk(size, "prod")
    resource.disk.persistence.id = name
    resource.disk.volume.container_path = path
    resource.disk.volume.mode = Volume.RW
    if shared:
        resource.shared.SetInParent()
    return resource


def of(*resources: Resource) -> Resources:
    return Resources.of(resources)


def test_a_reservation_consumes_what_is_below_it() -> None:
    operation = Operation(type=Operation.RESERVE)
    operation.reserve.resources.append(disk(10, "prod", "prod/db"))
    assert conversion(operation) == (of(disk(10, "prod")), of(disk(10, "prod", "prod/db")))


def test_a_reservation_with_a_source_consumes_the_source() -> None:
    operation = Operation(type=Operation.RESERVE)
    operation.reserve.source.append(disk(10, "test"))
    operation.reserve.resources.append(disk(10, "prod"))
    assert conversion(operation) == (of(disk(10, "test")), of(disk(10, "prod")))


def test_unreserving_gives_back_what_is_below() -> None:
    operation = Operation(type=Operation.UNRESERVE)
    operation.unreserve.resources.append(disk(10, "prod"))
    assert conversion(operation) == (of(disk(10, "prod")), of(disk(10)))


@pytest.mark.parametrize("shared", [False, True])
def test_create_and_destroy_are_opposites(shared: bool) -> None:
    create, destroy = Operation(type=Operation.CREATE), Operation(type=Operation.DESTROY)
    create.create.volumes.append(volume(10, shared=shared))
    destroy.destroy.volumes.append(volume(10, shared=shared))
    plain, made = of(disk(10, "prod")), of(volume(10, shared=shared))
    assert conversion(create) == (plain, made)
    assert conversion(destroy) == (made, plain)


def test_a_volume_on_a_disk_with_a_source_leaves_the_source() -> None:
    made = volume(10)
    made.disk.source.type = Resource.DiskInfo.Source.PATH
    made.disk.source.path.root = "/srv"
    assert plain_disk(made).disk.source.path.root == "/srv"


def test_a_grown_volume_consumes_the_addition() -> None:
    operation = Operation(type=Operation.GROW_VOLUME)
    operation.grow_volume.volume.CopyFrom(volume(10))
    operation.grow_volume.addition.CopyFrom(disk(5, "prod"))
    consumed, created = conversion(operation)
    assert (consumed, created) == (of(volume(10), disk(5, "prod")), of(volume(15)))


def test_a_shrunk_volume_frees_the_rest() -> None:
    operation = Operation(type=Operation.SHRINK_VOLUME)
    operation.shrink_volume.volume.CopyFrom(volume(10))
    operation.shrink_volume.subtract.value = 4
    assert conversion(operation) == (of(volume(10)), of(volume(6), disk(4, "prod")))


@pytest.mark.parametrize("kind", ["RESERVE", "UNRESERVE", "CREATE", "DESTROY", "GROW_VOLUME"])
def test_an_operation_of_something_else_is_invalid(kind: str) -> None:
    operation = Operation(type=Operation.Type.Value(kind))
    plain = disk(10)
    for resources in (
        operation.reserve.resources,
        operation.unreserve.resources,
        operation.create.volumes,
        operation.destroy.volumes,
    ):
        resources.append(plain)
    operation.grow_volume.volume.CopyFrom(plain)
    operation.grow_volume.addition.CopyFrom(plain)
    with pytest.raises(InvalidResource, match="disk"):
        conversion(operation)


@pytest.mark.parametrize("kind", ["RESERVE", "UNRESERVE", "CREATE", "DESTROY", "LAUNCH"])
def test_an_operation_without_resources_is_invalid(kind: str) -> None:
    with pytest.raises(InvalidResource):
        conversion(Operation(type=Operation.Type.Value(kind)))


def test_the_resources_of_every_kind_of_operation_can_be_changed_in_place() -> None:
    operation = Operation(type=Operation.GROW_VOLUME)
    operation.reserve.resources.append(disk(1))
    operation.reserve.source.append(disk(1))
    operation.unreserve.resources.append(disk(1))
    operation.create.volumes.append(disk(1))
    operation.destroy.volumes.append(disk(1))
    operation.grow_volume.volume.CopyFrom(disk(1))
    operation.grow_volume.addition.CopyFrom(disk(1))
    operation.shrink_volume.volume.CopyFrom(disk(1))
    for resource in resources_of(operation):
        resource.allocation_info.role = "prod"
    assert str(operation).count("allocation_info") == 8
    assert not list(resources_of(Operation(type=Operation.LAUNCH)))
