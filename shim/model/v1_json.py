"""v1 JSON of the scheduler API to and from the v0 messages of the wire.

The two differ only in names: *slave* in v0 is *agent* in v1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from shim.model.json_text import LONE_SURROGATE, has_lone_surrogate
from shim.model.protojson import Json as Json
from shim.model.protojson import Writer

M = TypeVar("M", bound=Message)


class InvalidJson(ValueError):
    """JSON that does not fit the message; ``str()`` names the field."""


def _v1(name: str) -> str:
    return name.replace("slave", "agent")


def _v1_enum(name: str) -> str:
    return name.replace("_SLAVE", "_AGENT")


def v1_writer(redactions: Mapping[str, Callable[[Json], None]] | None = None) -> Writer:
    """Writes v1 JSON. ``redactions`` as for :class:`~shim.model.protojson.Writer`."""
    return Writer(key=_v1, enum_value=_v1_enum, redactions=redactions)


to_json = v1_writer().to_json
"""The message as v1 JSON."""


def from_json(value: object, message: M) -> M:
    """Fill ``message`` from v1 JSON. Unknown fields are ignored. Raises InvalidJson."""
    if not isinstance(value, Mapping):
        raise InvalidJson(f"Expecting an object for {message.DESCRIPTOR.name}, not {value!r:.60}")
    if has_lone_surrogate(value):
        raise InvalidJson(LONE_SURROGATE)
    try:
        json_format.ParseDict(_v0(value), message, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise InvalidJson(str(error)) from None
    if not message.IsInitialized():
        missing = message.FindInitializationErrors()  # type: ignore[attr-defined]
        raise InvalidJson(f"Missing required fields: {', '.join(_v1(m) for m in missing)}")
    return message


def _v0(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_v0_key(k): _v0_enum(v) if k in _ENUMS else _v0(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_v0(item) for item in value]
    return value


_ENUMS = ("source", "reason")
"""Fields whose enum values differ: SOURCE_AGENT, REASON_AGENT_RESTARTED ..."""


def _v0_enum(value: Any) -> Any:
    known = isinstance(value, str) and value.startswith(("SOURCE_AGENT", "REASON_AGENT"))
    return value.replace("_AGENT", "_SLAVE", 1) if known else _v0(value)


def _v0_key(key: str) -> str:
    return "slave_id" if key == "agent_id" else key
