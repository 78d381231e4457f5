"""v1 JSON, as the scheduler API speaks it, to and from the v0 messages of the wire.

The two differ in names only: what the wire calls *slave* is *agent* here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from shim.model.protojson import Json as Json
from shim.model.protojson import Writer

M = TypeVar("M", bound=Message)


class BadJson(ValueError):
    """JSON that is no such message; ``str()`` names the field."""


def _v1(name: str) -> str:
    return name.replace("slave", "agent")


def _v1_enum(name: str) -> str:
    return name.replace("_SLAVE", "_AGENT")


to_json = Writer(key=_v1, enum_value=_v1_enum).to_json
"""The message as v1 JSON, its names as a framework expects them."""


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
