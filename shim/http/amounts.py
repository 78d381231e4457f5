"""Resources as pages show them: sums by name, and lists in the endpoints' own format."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from shim.http.protojson import Json, to_json
from shim.model.resources import joined, role_of
from shim.protos.mesos_pb2 import Attribute, Resource, Value

ALWAYS = ("cpus", "gpus", "mem", "disk")


Parts = tuple[
    tuple[tuple[str, float], ...],
    tuple[tuple[str, int, int], ...],
    tuple[tuple[str, str], ...],
]
"""An amount at rest: scalars, ranges and sets. Nothing but tuples and atoms, which the garbage
collector does not go through again and again."""


class Amount:
    """A sum of resources, whatever their role."""

    __slots__ = ("ranges", "scalars", "sets")

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self.scalars: dict[str, float] = dict.fromkeys(ALWAYS, 0.0)
        self.ranges: dict[str, list[tuple[int, int]]] = {}
        self.sets: dict[str, set[str]] = {}
        for resource in resources:
            self._take(resource)

    def _take(self, resource: Resource) -> None:
        name = resource.name
        if resource.HasField("revocable"):
            name += "_revocable"
        if resource.type == Value.SCALAR:
            self.scalars[name] = self.scalars.get(name, 0.0) + resource.scalar.value
        elif resource.type == Value.RANGES:
            spans = [(span.begin, span.end) for span in resource.ranges.range]
            self.ranges.setdefault(name, []).extend(spans)
        else:
            self.sets.setdefault(name, set()).update(resource.set.item)

    def add(self, parts: Parts) -> None:
        scalars, ranges, sets = parts
        for name, value in scalars:
            self.scalars[name] = self.scalars.get(name, 0.0) + value
        for name, begin, end in ranges:
            self.ranges.setdefault(name, []).append((begin, end))
        for name, item in sets:
            self.sets.setdefault(name, set()).add(item)

    @property
    def parts(self) -> Parts:
        return (
            tuple((name, value) for name, value in self.scalars.items() if value),
            tuple((name, *span) for name, spans in self.ranges.items() for span in spans),
            tuple((name, item) for name, items in self.sets.items() for item in items),
        )

    def json(self) -> Json:
        """As ``resources`` in ``/state``."""
        body: Json = {name: round(value, 3) for name, value in self.scalars.items()}
        body.update((name, _spans(spans)) for name, spans in self.ranges.items())
        body.update((name, f"{{{', '.join(sorted(s))}}}") for name, s in self.sets.items())
        return body


def _spans(spans: Iterable[tuple[int, int]]) -> str:
    return f"[{', '.join(f'{begin}-{end}' for begin, end in joined(spans))}]"


def by_role(resources: Iterable[Resource]) -> Mapping[str, list[Resource]]:
    grouped: dict[str, list[Resource]] = defaultdict(list)
    for resource in resources:
        grouped[role_of(resource)].append(resource)
    return grouped


def endpoint_format(resource: Resource) -> Json:
    """As in the ``_full`` lists: the role is told also in the old way where that can be."""
    body = to_json(resource)
    if len(resource.reservations) <= 1:
        body["role"] = role_of(resource)
    return body


def attribute(found: Attribute) -> Any:
    if found.type == Value.SCALAR:
        return found.scalar.value
    if found.type == Value.RANGES:
        return _spans((span.begin, span.end) for span in found.ranges.range)
    if found.type == Value.SET:
        return f"{{{', '.join(found.set.item)}}}"
    return found.text.value
