"""v1 JSON, as the scheduler API speaks it, to and from the v0 messages of the wire.

The two differ in names only: what the wire calls *slave* is *agent* here. Numbers are JSON
numbers (never texts, also 64 bit ones), bytes are base64, and fields that have a default in the
schema are written out, as a real master does.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Json = dict[str, Any]
M = TypeVar("M", bound=Message)


class BadJson(ValueError):
    """JSON that is no such message; ``str()`` names the field."""


def to_json(message: Message) -> Json:
    """The message as v1 JSON, its names as a framework expects them."""
    result: Json = {}
    for field in message.DESCRIPTOR.fields:
        name = _v1(field.name)
        if field.is_repeated:
            values = getattr(message, field.name)
            if values:
                result[name] = _repeated(field, values)
        elif message.HasField(field.name) or _shows_default(field):
            result[name] = _scalar(field, getattr(message, field.name))
    return result


def _shows_default(field: Any) -> bool:
    # ``role`` is deprecated in v1, and absent where reservations stand in its place.
    return bool(field.has_default_value) and field.name != "role"


def _repeated(field: Any, values: Any) -> Any:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        value_field = kind.fields_by_name["value"]
        return {str(k): _scalar(value_field, values[k]) for k in values}
    return [_scalar(field, value) for value in values]


def _scalar(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return to_json(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return _v1_enum(known.name) if known else value
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64encode(value).decode()
    return value


def _v1(name: str) -> str:
    return name.replace("slave", "agent")


def _v1_enum(name: str) -> str:
    return name.replace("_SLAVE", "_AGENT")


def from_json(value: object, message: M) -> M:
    """Fill ``message`` from v1 JSON. Unknown fields are ignored. Raises BadJson."""
    if not isinstance(value, Mapping):
        raise BadJson(f"Expecting an object for {message.DESCRIPTOR.name}, not {value!r:.60}")
    try:
        json_format.ParseDict(_v0(value), message, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise BadJson(str(error)) from None
    if not message.IsInitialized():
        missing = message.FindInitializationErrors()  # type: ignore[attr-defined]
        raise BadJson(f"Missing required fields: {', '.join(_v1(m) for m in missing)}")
    return message


def _v0(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_v0_key(k): _v0(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_v0(item) for item in value]
    return value


def _v0_key(key: str) -> str:
    return "slave_id" if key == "agent_id" else key
