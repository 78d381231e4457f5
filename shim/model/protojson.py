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


class _Field(NamedTuple):
    name: str
    key: str
    """The name in JSON."""
    is_repeated: bool
    shows_default: bool
    convert: _Convert


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
        self._plans: dict[type[Message], list[_Field]] = {}

    def to_json(self, message: Message) -> Json:
        plan = self._plans.get(type(message))
        if plan is None:
            fields = cast("list[FieldDescriptor]", message.DESCRIPTOR.fields)
            plan = self._plans[type(message)] = [self._field(field) for field in fields]
        result: Json = {}
        for name, key, is_repeated, shows_default, convert in plan:
            if is_repeated:
                if values := getattr(message, name):
                    result[key] = convert(values)
            elif shows_default or message.HasField(name):
                result[key] = convert(getattr(message, name))
        redact = self._redactions.get(message.DESCRIPTOR.full_name)
        if redact is not None:
            redact(result)
        return result

    def _field(self, field: FieldDescriptor) -> _Field:
        return _Field(
            field.name,
            self._key(field.name),
            field.is_repeated,
            field.has_default_value and field.full_name not in _DEPRECATED,
            self._of_many(field) if field.is_repeated else self._of_one(field),
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
