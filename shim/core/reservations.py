"""Dynamic reservations and persistent volumes of the agent: durable, and equal to the master's.

A master with operations (since 1.5) sends each change as an operation, an older one the complete
new list. What is reserved always fits into the resources that the agent registered with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shim.core.context import Context
from shim.core.volumes import PersistentVolumes
from shim.model.offer_operations import conversion, resources_of
from shim.model.records import SaveResources
from shim.model.resource_sets import (
    InvalidResource,
    Resources,
    downgraded,
    kind_of,
    without_dynamic,
)
from shim.model.resources import is_checkpointed
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import Offer, Resource

_RESIZES = (Offer.Operation.GROW_VOLUME, Offer.Operation.SHRINK_VOLUME)


class Reservations:
    def __init__(self, ctx: Context, volumes: PersistentVolumes) -> None:
        self._ctx = ctx
        self._volumes = volumes
        self.resources: Sequence[Resource] = ()
        """In the format of before Mesos 1.4, which every master understands."""
        self._by_kind: dict[bytes, Resource] | None = None
        """:attr:`resources` by kind, once an operation has needed it."""
        self._total = Resources()
        """What the agent registered with, with its reservations and volumes applied."""

    def restore(self, resources: Iterable[Resource]) -> None:
        self.resources = list(resources)

    def replace(self, resources: Iterable[Resource]) -> bool:
        """The master's complete list; whether it differs from what the agent has."""
        new = list(resources)
        self._by_kind = None
        if new == self.resources:
            return False
        self._save(new)
        return True

    def apply(self, operation: Offer.Operation) -> None:
        """Convert resources. Raises InvalidResource when the agent does not have them."""
        if operation.type in _RESIZES and not self._ctx.settings.resizes_volumes:
            name = Offer.Operation.Type.Name(operation.type)
            raise InvalidResource(f"{name}: the volumes of this endpoint cannot be resized")
        own = Offer.Operation()
        own.CopyFrom(operation)
        for resource in resources_of(own):
            resource.ClearField("allocation_info")
        consumed, created = conversion(own)
        by_kind = self._index()
        self._volumes.check_new(created.resources(), consumed.resources())
        if not self._total.contains(consumed):
            raise InvalidResource(f"the agent does not have {consumed}")
        self._total = self._total - consumed + created
        # Only what the operation changed is made again: there may be thousands of volumes.
        changed = consumed.amounts.keys() | created.amounts.keys()
        for kind in changed:
            by_kind.pop(kind, None)
        for resource in self._total.of_kinds(changed).only(is_checkpointed).resources():
            by_kind[kind_of(resource)] = _old_format(resource)
        self._save(list(by_kind.values()))

    def _index(self) -> dict[bytes, Resource]:
        """Fill ``_by_kind`` and ``_total``. Raises InvalidResource for what no master sends."""
        if self._by_kind is None:
            kept = Resources.of(self.resources)
            registered = Resources.of(self._ctx.settings.info.resources)
            below = Resources.of(map(without_dynamic, self.resources))
            self._total = registered - below + kept
            self._by_kind = {kind_of(each): _old_format(each) for each in kept.resources()}
        return self._by_kind

    def _save(self, resources: list[Resource]) -> None:
        self.resources = resources
        self._ctx.record(SaveResources(journal_pb2.Resources(resources=resources)))
        self._volumes.update(resources)


def _old_format(resource: Resource) -> Resource:
    """A refined reservation has no old format and stays as it is."""
    return resource if len(resource.reservations) > 1 else downgraded(resource)


def missing(wanted: Iterable[Resource], known: Iterable[Resource]) -> list[Resource]:
    """The reserved resources and volumes of ``wanted`` that ``known`` does not hold.

    Any number of tasks may use a shared volume.
    """
    reserved = [resource for resource in wanted if is_checkpointed(resource)]
    if not reserved:
        return []
    kinds = set(map(kind_of, reserved))
    left = Resources()
    for resource in known:
        if kind_of(resource) in kinds:
            left += _alone(resource)
    missing = []
    for resource in reserved:
        one = _alone(resource)
        if one and left.contains(one):
            left -= one.exclusive()
        else:
            missing.append(resource)
    return missing


def _alone(resource: Resource) -> Resources:
    """The resource as a set of its own; nothing for a resource that no master sends."""
    try:
        return Resources.of([resource])
    except InvalidResource:
        return Resources()
