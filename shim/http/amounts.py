"""Resources as pages show them: sums by name, and lists in the format of Mesos' endpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from shim.http.protojson import Json, to_json
from shim.model.resources import joined, role_of
from shim.protos.mesos_pb2 import Attribute, Resource, Value

ALWAYS = ("cpus", "gpus", "mem", "disk")
"""Scalars that every sum shows, 0 included."""


FrozenAmount = tuple[
    tuple[tuple[str, float], ...],
    tuple[tuple[str, int, int], ...],
    tuple[tuple[str, str], ...],
]
"""Scalars, ranges and sets of an Amount that is kept for long. Only tuples and atoms: the garbage
collector stops tracking them, which matters with 10,000 tasks."""


class Amount:
    """A sum of resources over all roles."""

    __slots__ = ("ranges", "scalars", "sets")

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self.scalars: dict[str, float] = dict.fromkeys(ALWAYS, 0.0)
        self.ranges: dict[str, list[tuple[int, int]]] = {}
        self.sets: dict[str, set[str]] = {}
        for resource in resources:
            self._add_resource(resource)

    def _add_resource(self, resource: Resource) -> None:
        name = resource.name
        if resource.HasField("revocable"):
            name += "_revocable"
        if resource.type == Value.SCALAR:
            self.scalars[name] = self.scalars.get(name, 0.0) + resource.scalar.value
        elif resource.type == Value.RANGES:
            ranges = [(each.begin, each.end) for each in resource.ranges.range]
            self.ranges.setdefault(name, []).extend(ranges)
        else:
            self.sets.setdefault(name, set()).update(resource.set.item)

    def add(self, frozen: FrozenAmount) -> None:
        scalars, ranges, sets = frozen
        for name, value in scalars:
            self.scalars[name] = self.scalars.get(name, 0.0) + value
        for name, begin, end in ranges:
            spans = self.ranges.setdefault(name, [])
            # Tasks get neighbouring ports: ten thousand of them would be a long list to sort.
            if spans and spans[-1][0] <= begin <= spans[-1][1] + 1:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((begin, end))
        for name, item in sets:
            self.sets.setdefault(name, set()).add(item)

    def frozen(self) -> FrozenAmount:
        return (
            tuple((name, value) for name, value in self.scalars.items() if value),
            tuple((name, *each) for name, ranges in self.ranges.items() for each in ranges),
            tuple((name, item) for name, items in self.sets.items() for item in items),
        )

    def json(self) -> Json:
        """As ``resources`` in ``/state``."""
        body: Json = {name: round(value, 3) for name, value in self.scalars.items()}
        body.update((name, _ranges(ranges)) for name, ranges in self.ranges.items())
        body.update((name, f"{{{', '.join(sorted(s))}}}") for name, s in self.sets.items())
        return body


def _ranges(ranges: Iterable[tuple[int, int]]) -> str:
    return f"[{', '.join(f'{begin}-{end}' for begin, end in joined(ranges))}]"


def by_role(resources: Iterable[Resource]) -> Mapping[str, list[Resource]]:
    grouped: dict[str, list[Resource]] = defaultdict(list)
    for resource in resources:
        grouped[role_of(resource)].append(resource)
    return grouped


def endpoint_format(resource: Resource) -> Json:
    """As in the ``_full`` lists of ``/state``: with the field ``role`` of before Mesos 1.4, unless
    the resource has refined reservations."""
    body = to_json(resource)
    if len(resource.reservations) <= 1:
        body["role"] = role_of(resource)
    return body


def attribute_value(attribute: Attribute) -> Any:
    if attribute.type == Value.SCALAR:
        return attribute.scalar.value
    if attribute.type == Value.RANGES:
        return _ranges((each.begin, each.end) for each in attribute.ranges.range)
    if attribute.type == Value.SET:
        return f"{{{', '.join(attribute.set.item)}}}"
    return attribute.text.value
