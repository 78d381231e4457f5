"""Arithmetic on Mesos resources, exact to the thousandth, as a master does it.

A :class:`Bag` maps *what* a resource is (name, reservations, disk, ...) to *how much* of it there
is. Allocation is not part of it: it is put on when resources leave for an agent or a framework.
Inside, resources are in the format with a ``reservations`` list; :func:`upgraded` and
:func:`downgraded` convert at the edge.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from shim.model.resources import Spans, joined, role_of
from shim.protos.mesos_pb2 import Resource, Value

Quantity = int | Spans | frozenset[str]
"""Thousandths of a scalar, disjoint sorted inclusive ranges, or items of a set."""

THOUSAND = 1000


class InvalidResource(ValueError):
    """A resource that a master refuses; ``str()`` says why."""


def upgraded(resource: Resource) -> Resource:
    """A copy with ``reservations`` in place of ``role`` and ``reservation``."""
    new = Resource()
    new.CopyFrom(resource)
    new.ClearField("role")
    new.ClearField("reservation")
    if resource.reservations or resource.role == "*":
        return new
    entry = new.reservations.add(role=resource.role, type=Resource.ReservationInfo.STATIC)
    if resource.HasField("reservation"):
        entry.MergeFrom(resource.reservation)
        entry.role = resource.role
        entry.type = Resource.ReservationInfo.DYNAMIC
    return new


def downgraded(resource: Resource) -> Resource:
    """A copy with ``role`` and ``reservation`` in place of ``reservations``.

    Raises InvalidResource for a refined reservation, which that format cannot tell.
    """
    if len(resource.reservations) > 1:
        raise InvalidResource(f"{resource.name}: a refined reservation has no old format")
    new = Resource()
    new.CopyFrom(resource)
    new.ClearField("reservations")
    new.role = resource.reservations[0].role if resource.reservations else "*"
    if resource.reservations and resource.reservations[0].type == Resource.ReservationInfo.DYNAMIC:
        new.reservation.CopyFrom(resource.reservations[0])
        new.reservation.ClearField("role")
        new.reservation.ClearField("type")
    return new


def validate(resource: Resource) -> None:
    """Raise InvalidResource unless a master would accept the resource."""
    if not resource.name:
        raise InvalidResource("a resource has no name")
    present = {f for f in ("scalar", "ranges", "set") if resource.HasField(f)}
    wanted = {Value.SCALAR: "scalar", Value.RANGES: "ranges", Value.SET: "set"}.get(resource.type)
    if present != {wanted}:
        raise InvalidResource(f"{resource.name}: type and value do not match")
    if wanted == "scalar" and _thousandths(resource.scalar.value) <= 0:
        raise InvalidResource(f"{resource.name}: {resource.scalar.value} is not positive")
    if wanted == "ranges":
        _validate_ranges(resource)
    if resource.HasField("disk") and resource.name != "disk":
        raise InvalidResource(f"{resource.name}: disk information on what is no disk")
    if resource.HasField("reservation") and resource.role == "*":
        raise InvalidResource(f"{resource.name}: a reservation needs a role other than '*'")
    for outer, inner in itertools.pairwise(resource.reservations):
        if inner.type != Resource.ReservationInfo.DYNAMIC:
            raise InvalidResource(f"{resource.name}: only a dynamic reservation refines another")
        if not inner.role.startswith(f"{outer.role}/"):
            raise InvalidResource(f"{resource.name}: {inner.role} does not refine {outer.role}")


def _validate_ranges(resource: Resource) -> None:
    spans = sorted((r.begin, r.end) for r in resource.ranges.range)
    if any(begin > end for begin, end in spans):
        raise InvalidResource(f"{resource.name}: a range ends before it begins")
    if any(a[1] >= b[0] for a, b in itertools.pairwise(spans)):
        raise InvalidResource(f"{resource.name}: ranges overlap")


def _thousandths(value: float) -> int:
    if math.isnan(value) or math.isinf(value):
        raise InvalidResource(f"{value} is not an amount")
    return round(value * THOUSAND)


def quantity_of(resource: Resource) -> Quantity:
    if resource.type == Value.SCALAR:
        return _thousandths(resource.scalar.value)
    if resource.type == Value.RANGES:
        return joined((r.begin, r.end) for r in resource.ranges.range)
    return frozenset(resource.set.item)


def _cut(spans: Spans, hole: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for begin, end in spans:
        if hole[1] < begin or hole[0] > end:
            yield (begin, end)
            continue
        if begin < hole[0]:
            yield (begin, hole[0] - 1)
        if hole[1] < end:
            yield (hole[1] + 1, end)


def _plus(a: Quantity, b: Quantity) -> Quantity:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return joined(a + b)
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return a | b
    raise InvalidResource("resources of one name and different types")


def _minus(a: Quantity, b: Quantity) -> Quantity:
    if isinstance(a, int) and isinstance(b, int):
        return a - b
    if isinstance(a, tuple) and isinstance(b, tuple):
        for hole in b:
            a = tuple(_cut(a, hole))
        return a
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return a - b
    raise InvalidResource("resources of one name and different types")


def _covers(a: Quantity, b: Quantity) -> bool:
    if isinstance(a, int) and isinstance(b, int):
        return a >= b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return not _minus(b, a)
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return a >= b
    return False


def _key(resource: Resource) -> bytes:
    bare = upgraded(resource)
    for name in ("scalar", "ranges", "set", "allocation_info"):
        bare.ClearField(name)
    return bare.SerializeToString(deterministic=True)


@dataclass(frozen=True, slots=True)
class Bag:
    """An immutable amount of resources."""

    amounts: Mapping[bytes, Quantity] = field(default_factory=dict)

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> Bag:
        """Raises InvalidResource for a resource that no master accepts."""
        amounts: dict[bytes, Quantity] = {}
        for resource in resources:
            validate(resource)
            key, amount = _key(resource), quantity_of(resource)
            amounts[key] = _plus(amounts[key], amount) if key in amounts else amount
        return cls(amounts)

    def __bool__(self) -> bool:
        return bool(self.amounts)

    def __add__(self, other: Bag) -> Bag:
        amounts = dict(self.amounts)
        for key, amount in other.amounts.items():
            amounts[key] = _plus(amounts[key], amount) if key in amounts else amount
        return Bag(amounts)

    def __sub__(self, other: Bag) -> Bag:
        """What is left; never negative: what is not there is not taken."""
        amounts = dict(self.amounts)
        for key, amount in other.amounts.items():
            if key not in amounts:
                continue
            left = _minus(amounts[key], amount)
            if not left or (isinstance(left, int) and left <= 0):
                del amounts[key]
            else:
                amounts[key] = left
        return Bag(amounts)

    def covers(self, other: Bag) -> bool:
        return all(
            key in self.amounts and _covers(self.amounts[key], amount)
            for key, amount in other.amounts.items()
        )

    def scalar(self, name: str) -> float:
        """All of a scalar resource, reserved or not."""
        total = 0
        for resource, amount in self._parts():
            if resource.name == name and isinstance(amount, int):
                total += amount
        return total / THOUSAND

    def pick(self, roles: frozenset[str]) -> Bag:
        """What is unreserved, or reserved for one of ``roles``."""
        return Bag(
            {
                key: amount
                for key, amount in self.amounts.items()
                if role_of(Resource.FromString(key)) in roles | {"*"}
            }
        )

    def without_refined(self) -> Bag:
        return Bag(
            {
                key: amount
                for key, amount in self.amounts.items()
                if len(Resource.FromString(key).reservations) < 2
            }
        )

    def resources(self, *, role: str | None = None, refined: bool = True) -> list[Resource]:
        """As messages: allocated to ``role`` if given; in the old format unless ``refined``."""
        result = []
        for resource, amount in self._parts():
            _fill(resource, amount)
            if role is not None:
                resource.allocation_info.role = role
            result.append(resource if refined else downgraded(resource))
        return result

    def _parts(self) -> Iterator[tuple[Resource, Quantity]]:
        for key, amount in self.amounts.items():
            yield Resource.FromString(key), amount

    def __str__(self) -> str:
        return "; ".join(_text(resource, amount) for resource, amount in self._parts()) or "nothing"


def _fill(resource: Resource, amount: Quantity) -> None:
    if isinstance(amount, int):
        resource.scalar.value = amount / THOUSAND
    elif isinstance(amount, tuple):
        resource.ranges.SetInParent()
        for begin, end in amount:
            resource.ranges.range.add(begin=begin, end=end)
    else:
        resource.set.item.extend(sorted(amount))


def _text(resource: Resource, amount: Quantity) -> str:
    role = role_of(resource)
    name = resource.name if role == "*" else f"{resource.name}({role})"
    if isinstance(amount, int):
        return f"{name}:{amount / THOUSAND:g}"
    if isinstance(amount, tuple):
        return f"{name}:[{', '.join(f'{a}-{b}' for a, b in amount)}]"
    return f"{name}:{{{', '.join(sorted(amount))}}}"


def is_dynamic(resource: Resource) -> bool:
    """Whether an agent has to remember it: a dynamic reservation or a persistent volume."""
    last = upgraded(resource).reservations[-1:]
    return bool(last and last[0].type == Resource.ReservationInfo.DYNAMIC) or (
        resource.HasField("disk") and resource.disk.HasField("persistence")
    )


def stripped(resource: Resource) -> Resource:
    """What a dynamic reservation or volume was made from: the static or unreserved resource."""
    new = upgraded(resource)
    new.ClearField("allocation_info")
    if new.HasField("disk"):
        new.disk.ClearField("persistence")
        new.disk.ClearField("volume")
        if not new.disk.ListFields():
            new.ClearField("disk")
    while new.reservations and new.reservations[-1].type == Resource.ReservationInfo.DYNAMIC:
        del new.reservations[-1]
    return new
