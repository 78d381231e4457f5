"""Which resources a master accepts from an agent: valid totals, and reservations within them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shim.model.resources import (
    is_checkpointed,
    joined,
    overlap,
    ranges_of,
    thousandths,
    value_field,
    value_fields,
)
from shim.protos import mesos_pb2 as mesos
from shim.wire.field_rules import Problems

Resource = mesos.Resource
_STATIC = Resource.ReservationInfo.STATIC
_SHAREABLE = (Resource.DiskInfo.Source.UNKNOWN, Resource.DiskInfo.Source.PATH)


def total_problems(field: str, resource: Resource) -> Problems:
    """Problems of one entry of ``SlaveInfo.resources``."""
    yield from _value_problems(field, resource)
    if not resource.name:
        yield f"{field}.name: empty"
    if resource.HasField("disk") and resource.name != "disk":
        yield f"{field}.disk: only for the resource of that name"
    if resource.HasField("reservation") and resource.role == "*":
        yield f"{field}.reservation: role '*' cannot be reserved"
    if resource.HasField("allocation_info"):
        yield f"{field}.allocation_info: a total is not allocated"
    if len(resource.reservations) > 1:
        yield f"{field}.reservations: refined"


def _value_problems(field: str, resource: Resource) -> Problems:
    wanted, given = value_field(resource), value_fields(resource)
    if given != [wanted]:
        yield f"{field}.type: {wanted}, but the value is {' and '.join(given) or 'missing'}"
    elif wanted == "scalar" and not _thousandths(resource) > 0:
        yield f"{field}.scalar: {resource.scalar.value} is not above zero"
    elif wanted == "ranges":
        spans = ranges_of([resource])
        if any(begin > end for begin, end in spans) or overlap(spans):
            yield f"{field}.ranges: reversed or overlapping"


def checkpoint_problems(
    field: str, checkpointed: Sequence[Resource], totals: Iterable[Resource]
) -> Problems:
    """A master aborts for an entry that is neither a dynamic reservation nor a volume, and for
    entries that exceed the totals."""
    for index, resource in enumerate(checkpointed):
        if not is_checkpointed(resource):
            yield f"{field}[{index}]: neither a dynamic reservation nor a persistent volume"
    available = _grouped(totals)
    for kind, used in _grouped(checkpointed).items():
        if not _contains(available.get(kind, []), used):
            yield f"{field}: more {kind.name} of role {kind.role!r} than slave.resources has"


class _Kind(NamedTuple):
    """The properties that two resources must share to be added, without their dynamic
    reservations and volumes."""

    name: str
    type: int
    role: str
    source: bytes
    exclusive: int
    """Thousandths of a disk that is used only as a whole (MOUNT, BLOCK); else 0."""
    revocable: bool


def _grouped(resources: Iterable[Resource]) -> dict[_Kind, list[Resource]]:
    groups: dict[_Kind, list[Resource]] = defaultdict(list)
    for resource in resources:
        groups[_kind(resource)].append(resource)
    return groups


def _kind(resource: Resource) -> _Kind:
    source = resource.disk.source
    whole = resource.disk.HasField("source") and source.type not in _SHAREABLE
    return _Kind(
        resource.name,
        resource.type,
        _base_role(resource),
        source.SerializeToString(deterministic=True) if resource.disk.HasField("source") else b"",
        _thousandths(resource) if whole else 0,
        resource.HasField("revocable"),
    )


def _base_role(resource: Resource) -> str:
    """The static role below any dynamic reservation, in both formats of reservations."""
    if resource.reservations:
        static = [r.role for r in resource.reservations if r.type == _STATIC]
        return static[-1] if static else "*"
    return "*" if resource.HasField("reservation") else resource.role


def _contains(total: list[Resource], used: list[Resource]) -> bool:
    if used[0].type == mesos.Value.SCALAR:
        return sum(map(_thousandths, used)) <= sum(map(_thousandths, total))
    if used[0].type == mesos.Value.SET:
        items = [item for r in used for item in r.set.item]
        return len(items) == len({*items}) and {*items} <= {i for r in total for i in r.set.item}
    spans, available = ranges_of(used), joined(ranges_of(total))
    return not overlap(spans) and all(
        any(begin <= first and last <= end for begin, end in available) for first, last in spans
    )


def _thousandths(resource: Resource) -> int:
    """NaN and infinities count as zero."""
    return thousandths(resource.scalar.value) or 0
