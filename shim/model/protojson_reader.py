"""JSON into protobuf messages, by the rules and with the words of Mesos' masters and agents.

Unknown fields are ignored and ``null`` is an unset field. Enums are names, and an unknown name
leaves an optional field unset. Numbers and booleans may be strings. A single value is taken for a
list of one. Source: Mesos' ``stout/protobuf.hpp`` (``protobuf::parse``).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_Names = Callable[[str], str]


class InvalidJson(ValueError):
    """JSON that does not fit the message; ``str()`` names the field."""


def _same(name: str) -> str:
    return name


class Reader:
    """Reads one dialect: ``key`` and ``enum_value`` give the names of the schema for those of JSON.

    A name that the schema has itself is taken as it is.
    """

    def __init__(self, *, key: _Names = _same, enum_value: _Names = _same) -> None:
        self._key = key
        self._enum_value = enum_value

    def merge(self, value: object, message: Message) -> None:
        """Set the fields of ``message``. Raises InvalidJson."""
        if not isinstance(value, Mapping):
            raise InvalidJson("Expecting a JSON object")
        fields = message.DESCRIPTOR.fields_by_name
        for name, item in value.items():
            field = fields.get(name) or fields.get(self._key(name))
            if field is not None and item is not None:
                self._merge_field(cast("FieldDescriptor", field), item, message)

    def _merge_field(self, field: FieldDescriptor, item: Any, message: Message) -> None:
        if not field.is_repeated:
            if isinstance(item, list):
                raise _unexpected("array", field)
            self._set_one(field, item, message)
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._merge_map(field, item, getattr(message, field.name))
        else:
            items = item if isinstance(item, list) else [item]
            self._extend(field, items, getattr(message, field.name))

    def _set_one(self, field: FieldDescriptor, item: Any, message: Message) -> None:
        if field.message_type is not None:
            part = getattr(message, field.name)
            part.SetInParent()
            self._merge_object(field, item, part)
        elif (value := self._scalar(field, item)) is not None:
            _assign(field, lambda: setattr(message, field.name, value))

    def _extend(self, field: FieldDescriptor, items: list[Any], values: Any) -> None:
        for item in items:
            if item is None:
                continue
            if field.message_type is not None:
                self._merge_object(field, item, values.add())
            elif (value := self._scalar(field, item)) is not None:
                _assign(field, lambda value=value: values.append(value))  # type: ignore[misc]

    def _merge_map(self, field: FieldDescriptor, item: Any, values: Any) -> None:
        if not isinstance(item, Mapping):
            raise _unexpected(_kind(item), field)
        assert field.message_type is not None
        entry = field.message_type.fields_by_name
        for name, part in item.items():
            key = self._scalar(entry["key"], name)
            if entry["value"].message_type is not None:
                self._merge_object(field, part, values[key])
            elif (value := self._scalar(entry["value"], part)) is not None:
                _assign(field, lambda key=key, value=value: values.update({key: value}))  # type: ignore[misc]

    def _merge_object(self, field: FieldDescriptor, item: Any, message: Message) -> None:
        if not isinstance(item, Mapping):
            raise _unexpected(_kind(item), field)
        self.merge(item, message)

    def _scalar(self, field: FieldDescriptor, item: Any) -> Any:
        """None for an unknown name of an optional enum."""
        if field.enum_type is not None:
            return self._enum(field, item)
        return _SCALARS[field.cpp_type](field, item)

    def _enum(self, field: FieldDescriptor, item: Any) -> int | None:
        if not isinstance(item, str):
            raise _unexpected(_kind(item), field)
        assert field.enum_type is not None
        values = field.enum_type.values_by_name
        found = values.get(item) or values.get(self._enum_value(item))
        if found is None and field.is_required:
            raise InvalidJson(f"Failed to find enum for '{item}'")
        return None if found is None else found.number


def _kind(item: object) -> str:
    """What JSON calls the value."""
    if isinstance(item, bool):
        return "boolean"
    if isinstance(item, int | float):
        return "number"
    if isinstance(item, str):
        return "string"
    return "array" if isinstance(item, list) else "object" if isinstance(item, Mapping) else "null"


def _unexpected(kind: str, field: FieldDescriptor) -> InvalidJson:
    return InvalidJson(f"Not expecting a JSON {kind} for field '{field.name}'")


def _assign(field: FieldDescriptor, assign: Callable[[], object]) -> None:
    try:
        assign()
    except (ValueError, TypeError) as error:
        raise InvalidJson(f"field '{field.name}': {error}") from None


def _text(field: FieldDescriptor, item: Any) -> str | bytes:
    if not isinstance(item, str):
        raise _unexpected(_kind(item), field)
    if field.type != FieldDescriptor.TYPE_BYTES:
        return item
    digits = "".join(item.split()).rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError as error:
        text = f"Failed to base64 decode bytes field '{field.name}': {error}"
        raise InvalidJson(text) from None


def _boolean(field: FieldDescriptor, item: Any) -> bool:
    value = {"true": True, "false": False}.get(item) if isinstance(item, str) else item
    if isinstance(value, bool):
        return value
    if isinstance(item, str):
        raise InvalidJson(f"Failed to parse '{item}' as a JSON boolean for field '{field.name}'")
    raise _unexpected(_kind(item), field)


def _number(field: FieldDescriptor, item: Any) -> int | float:
    value = _parsed_number(item) if isinstance(item, str) else item
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(item, str):
        raise InvalidJson(f"Failed to parse '{item}' as a JSON number for field '{field.name}'")
    raise _unexpected(_kind(item), field)


def _parsed_number(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _integer(field: FieldDescriptor, item: Any) -> int:
    """A fraction is cut off. A negative number in an unsigned field counts from its end."""
    number = _number(field, item)
    try:
        value = int(number)
    except (ValueError, OverflowError):
        raise InvalidJson(f"field '{field.name}': {item!r} is no integer") from None
    bits = _UNSIGNED.get(field.cpp_type, 0)
    return value + (1 << bits) if -(1 << bits >> 1) <= value < 0 else value


_UNSIGNED = {FieldDescriptor.CPPTYPE_UINT32: 32, FieldDescriptor.CPPTYPE_UINT64: 64}
"""Bits of a field without negative numbers."""

_SCALARS: Mapping[int, Callable[[FieldDescriptor, Any], Any]] = {
    FieldDescriptor.CPPTYPE_STRING: _text,
    FieldDescriptor.CPPTYPE_BOOL: _boolean,
    FieldDescriptor.CPPTYPE_DOUBLE: _number,
    FieldDescriptor.CPPTYPE_FLOAT: _number,
    FieldDescriptor.CPPTYPE_INT32: _integer,
    FieldDescriptor.CPPTYPE_INT64: _integer,
    FieldDescriptor.CPPTYPE_UINT32: _integer,
    FieldDescriptor.CPPTYPE_UINT64: _integer,
}
"""How a value is read, by the kind of its field."""
