"""v1 JSON of the scheduler API to and from the v0 messages of the wire.

The two differ only in names: *slave* in v0 is *agent* in v1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from google.protobuf.message import Message

from shim.model.json_text import LONE_SURROGATE, has_lone_surrogate
from shim.model.protojson import Json as Json
from shim.model.protojson import Writer
from shim.model.protojson_reader import InvalidJson as InvalidJson
from shim.model.protojson_reader import Reader

M = TypeVar("M", bound=Message)


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
    if _is_deeper(value, _MAX_DEPTH):
        raise InvalidJson(f"nested deeper than {_MAX_DEPTH} levels")
    if has_lone_surrogate(value):
        raise InvalidJson(LONE_SURROGATE)
    _reader.merge(value, message)
    if not message.IsInitialized():
        missing = message.FindInitializationErrors()  # type: ignore[attr-defined]
        raise InvalidJson(f"Missing required fields: {', '.join(_v1(m) for m in missing)}")
    return message


_MAX_DEPTH = 200
"""Of lists and objects in each other, as in Mesos' parser (``STOUT_JSON_MAX_DEPTH``)."""


def _is_deeper(value: object, limit: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        items = (each.values() if isinstance(each, dict) else each for each in level)
        level = [item for found in items for item in found if isinstance(item, dict | list)]
    return bool(level)


def _v0(name: str) -> str:
    return name.replace("agent", "slave")


def _v0_enum(name: str) -> str:
    return name.replace("_AGENT", "_SLAVE", 1)


_reader = Reader(key=_v0, enum_value=_v0_enum)
