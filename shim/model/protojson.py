"""Protobuf messages as JSON, by the rules of Mesos' masters and agents.

64-bit integers are numbers, bytes are base64, maps are objects. A field with an explicit default in
its schema is written even when unset.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Json = dict[str, Any]

_DEPRECATED = {"mesos.FrameworkInfo.role", "mesos.Resource.role"}
"""Fields with a default that are not written when unset."""

_Convert = Callable[[Any], Any]


class _Plan(NamedTuple):
    """What becomes of one kind of message."""

    fields: dict[FieldDescriptor, tuple[str, _Convert]]
    """The name in JSON, and how the value becomes JSON."""
    defaults: list[tuple[str, Any]]
    """Name and JSON of the fields that are written even when unset."""
    redact: Callable[[Json], None] | None


def _same(value: Any) -> Any:
    return value


class Writer:
    """Writes one dialect: the names of fields and enum values, and what is hidden.

    ``redactions`` maps the full name of a message to a function that changes its JSON in place.
    """

    def __init__(
        self,
        *,
        key: Callable[[str], str] = _same,
        enum_value: Callable[[str], str] = _same,
        redactions: Mapping[str, Callable[[Json], None]] | None = None,
    ) -> None:
        self._key = key
        self._enum_value = enum_value
        self._redactions = redactions or {}
        self._plans: dict[type[Message], _Plan] = {}

    def to_json(self, message: Message) -> Json:
        plan = self._plans.get(type(message))
        if plan is None:
            plan = self._plans[type(message)] = self._plan(message)
        # Of the many fields of a message few are set: only those are looked at.
        fields = plan.fields
        result: Json = {}
        for field, value in message.ListFields():
            key, convert = fields[field]
            result[key] = convert(value)
        for key, default in plan.defaults:
            result.setdefault(key, default)
        if plan.redact is not None:
            plan.redact(result)
        return result

    def _plan(self, message: Message) -> _Plan:
        fields = cast("list[FieldDescriptor]", message.DESCRIPTOR.fields)
        defaults = (f for f in fields if f.has_default_value and f.full_name not in _DEPRECATED)
        return _Plan(
            {
                field: (
                    self._key(field.name),
                    self._of_many(field) if field.is_repeated else self._of_one(field),
                )
                for field in fields
            },
            [(self._key(f.name), self._of_one(f)(f.default_value)) for f in defaults],
            self._redactions.get(message.DESCRIPTOR.full_name),
        )

    def _of_many(self, field: FieldDescriptor) -> _Convert:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            value = self._of_one(kind.fields_by_name["value"])
            return lambda values: {str(key): value(values[key]) for key in values}
        one = self._of_one(field)
        return lambda values: [one(value) for value in values]

    def _of_one(self, field: FieldDescriptor) -> _Convert:
        if field.message_type is not None:
            return self.to_json
        if field.enum_type is not None:
            names = {v.number: self._enum_value(v.name) for v in field.enum_type.values}
            return lambda value: names.get(value, value)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return lambda value: base64.b64encode(value).decode()
        if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
            return number
        return _same


def number(value: float) -> float | str:
    """A double in JSON. NaN and infinities are strings, which Mesos' own parser accepts."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
