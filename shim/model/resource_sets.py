"""Arithmetic on Mesos resources, in fixed point with three decimals as in Mesos.

:class:`Resources` maps the kind of a resource (name, reservations, disk, ...) to its quantity. The
allocation is not part of the kind: it is added when resources are sent to an agent or framework.
Neither is the place where a persistent volume is mounted: each task may name another one.
In memory resources have the ``reservations`` list (the post-reservation-refinement format).
:func:`upgraded` and :func:`downgraded` convert from and to ``role`` and ``reservation``.

A shared volume is there or not there: two copies are one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from shim.model.resources import (
    THOUSAND,
    Spans,
    joined,
    overlap,
    ranges_of,
    role_of,
    thousandths,
    value_field,
    value_fields,
)
from shim.protos.mesos_pb2 import Resource, Value

Quantity = int | Spans | frozenset[str]
"""Thousandths of a scalar, disjoint sorted inclusive ranges, or items of a set."""


class InvalidResource(ValueError):
    """A resource that a master rejects; ``str()`` says why."""


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

    Raises InvalidResource for a refined reservation, which that format cannot express.
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
    """Raise InvalidResource unless a master accepts the resource."""
    if not resource.name:
        raise InvalidResource("a resource has no name")
    wanted = value_field(resource)
    if value_fields(resource) != [wanted]:
        raise InvalidResource(f"{resource.name}: type and value do not match")
    if wanted == "scalar" and _thousandths(resource.scalar.value) <= 0:
        raise InvalidResource(f"{resource.name}: {resource.scalar.value} is not positive")
    if wanted == "ranges":
        _validate_ranges(resource)
    if resource.HasField("disk") and resource.name != "disk":
        raise InvalidResource(f"{resource.name}: DiskInfo on a resource other than disk")
    if resource.HasField("reservation") and resource.role == "*":
        raise InvalidResource(f"{resource.name}: a reservation needs a role other than '*'")
    for outer, inner in itertools.pairwise(resource.reservations):
        if inner.type != Resource.ReservationInfo.DYNAMIC:
            raise InvalidResource(f"{resource.name}: only a dynamic reservation refines another")
        if not inner.role.startswith(f"{outer.role}/"):
            raise InvalidResource(f"{resource.name}: {inner.role} does not refine {outer.role}")


def _validate_ranges(resource: Resource) -> None:
    spans = ranges_of([resource])
    if any(begin > end for begin, end in spans):
        raise InvalidResource(f"{resource.name}: a range ends before it begins")
    if overlap(spans):
        raise InvalidResource(f"{resource.name}: ranges overlap")


def _thousandths(value: float) -> int:
    amount = thousandths(value)
    if amount is None:
        raise InvalidResource(f"{value} is not an amount")
    return amount


def quantity_of(resource: Resource) -> Quantity:
    if resource.type == Value.SCALAR:
        return _thousandths(resource.scalar.value)
    if resource.type == Value.RANGES:
        return joined((r.begin, r.end) for r in resource.ranges.range)
    return frozenset(resource.set.item)


def _subtract_range(spans: Spans, removed: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for begin, end in spans:
        if removed[1] < begin or removed[0] > end:
            yield (begin, end)
            continue
        if begin < removed[0]:
            yield (begin, removed[0] - 1)
        if removed[1] < end:
            yield (removed[1] + 1, end)


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
        for removed in b:
            a = tuple(_subtract_range(a, removed))
        return a
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return a - b
    raise InvalidResource("resources of one name and different types")


def _contains(a: Quantity, b: Quantity) -> bool:
    if isinstance(a, int) and isinstance(b, int):
        return a >= b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return not _minus(b, a)
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return a >= b
    return False


def kind_of(resource: Resource) -> bytes:
    """What two resources have in common that Mesos adds up.

    Of a persistent volume only its id counts: neither its principal nor where it is mounted. A
    shared volume differs from one of another size.
    """
    bare = _without_quantity(resource)
    if resource.HasField("shared"):
        bare.scalar.CopyFrom(resource.scalar)
    if bare.disk.HasField("persistence"):
        bare.disk.ClearField("volume")
        bare.disk.persistence.ClearField("principal")
    return bare.SerializeToString(deterministic=True)


def _without_quantity(resource: Resource) -> Resource:
    bare = upgraded(resource)
    bare.ClearField("scalar")
    bare.ClearField("ranges")
    bare.ClearField("set")
    bare.ClearField("allocation_info")
    return bare


@dataclass(frozen=True, slots=True)
class Resources:
    """An immutable set of resources."""

    amounts: Mapping[bytes, Quantity] = field(default_factory=dict)
    """Quantities by :func:`kind_of`."""
    examples: Mapping[bytes, bytes] = field(default_factory=dict, compare=False)
    """A serialized resource of each kind, without its quantity."""

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> Resources:
        """Raises InvalidResource for a resource that a master rejects."""
        amounts: dict[bytes, Quantity] = {}
        examples: dict[bytes, bytes] = {}
        for resource in resources:
            validate(resource)
            kind, amount = kind_of(resource), quantity_of(resource)
            if kind not in amounts:
                amounts[kind] = amount
                examples[kind] = _without_quantity(resource).SerializeToString(deterministic=True)
            elif not resource.HasField("shared"):
                amounts[kind] = _plus(amounts[kind], amount)
        return cls(amounts, examples)

    def __bool__(self) -> bool:
        return bool(self.amounts)

    def __add__(self, other: Resources) -> Resources:
        amounts = dict(self.amounts)
        for kind, amount in other.amounts.items():
            if kind not in amounts:
                amounts[kind] = amount
            elif not other._is_shared(kind):
                amounts[kind] = _plus(amounts[kind], amount)
        return Resources(amounts, {**other.examples, **self.examples})

    def __sub__(self, other: Resources) -> Resources:
        """The difference, never negative: resources that are missing are not subtracted."""
        amounts = dict(self.amounts)
        for kind, amount in other.amounts.items():
            if kind not in amounts:
                continue
            left = _minus(amounts[kind], amount)
            if not left or (isinstance(left, int) and left <= 0):
                del amounts[kind]
            else:
                amounts[kind] = left
        return self._with(amounts)

    def _with(self, amounts: Mapping[bytes, Quantity]) -> Resources:
        return Resources(amounts, {kind: self.examples[kind] for kind in amounts})

    def _is_shared(self, kind: bytes) -> bool:
        return Resource.FromString(self.examples[kind]).HasField("shared")

    def contains(self, other: Resources) -> bool:
        return all(
            kind in self.amounts and _contains(self.amounts[kind], amount)
            for kind, amount in other.amounts.items()
        )

    def scalar(self, name: str) -> float:
        """The sum of a scalar resource, reserved or not."""
        total = 0
        for resource, amount in self._parts():
            if resource.name == name and isinstance(amount, int):
                total += amount
        return total / THOUSAND

    def only(self, wanted: Callable[[Resource], bool]) -> Resources:
        """The resources that ``wanted`` selects. It sees them without their quantity."""
        return self._with(
            {
                kind: amount
                for kind, amount in self.amounts.items()
                if wanted(Resource.FromString(self.examples[kind]))
            }
        )

    def of_kinds(self, kinds: Collection[bytes]) -> Resources:
        """The resources of these kinds (:func:`kind_of`)."""
        return self._with({kind: self.amounts[kind] for kind in kinds if kind in self.amounts})

    def for_roles(self, roles: frozenset[str]) -> Resources:
        """The unreserved resources and those reserved for one of ``roles``."""
        return self.only(lambda resource: role_of(resource) in roles | {"*"})

    def without_refined(self) -> Resources:
        return self.only(lambda resource: len(resource.reservations) < 2)

    def exclusive(self) -> Resources:
        """Without shared volumes, which any number of tasks may use at once."""
        return self.only(lambda resource: not resource.HasField("shared"))

    def resources(self, *, role: str | None = None, refined: bool = True) -> list[Resource]:
        """As messages, allocated to ``role`` if given; without ``refined`` in the old format."""
        result = []
        for resource, amount in self._parts():
            _fill(resource, amount)
            if role is not None:
                resource.allocation_info.role = role
            result.append(resource if refined else downgraded(resource))
        return result

    def _parts(self) -> Iterator[tuple[Resource, Quantity]]:
        for kind, amount in self.amounts.items():
            yield Resource.FromString(self.examples[kind]), amount

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
    if resource.disk.HasField("persistence"):
        name += f"[{resource.disk.persistence.id}]"
    if isinstance(amount, int):
        return f"{name}:{amount / THOUSAND:g}"
    if isinstance(amount, tuple):
        return f"{name}:[{', '.join(f'{a}-{b}' for a, b in amount)}]"
    return f"{name}:{{{', '.join(sorted(amount))}}}"


def without_dynamic(resource: Resource) -> Resource:
    """The resource without its dynamic reservations and persistent volume."""
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
