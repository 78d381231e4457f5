"""Messages as JSON by a stock agent's rules, without the secrets that are in them.

Names are the wire's; 64 bit numbers are numbers, bytes base64, maps objects; a field with an
explicit default in its schema is written also when unset. Otherwise than a stock agent we never
show the values of environment variables, of secrets and of parameters that hold either: pages are
open to everybody in most clusters.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from shim.telemetry import HIDDEN, Redactor

Json = dict[str, Any]

_DEPRECATED = {"mesos.FrameworkInfo.role", "mesos.Resource.role"}
"""Not written when unset, although they have a default."""

_TELLING = re.compile(r"(?i)pass|secret|token|credential|\bkey\b|^e$|^env|^o$")
"""Keys of Docker and volume driver parameters whose value may be a secret (``o`` of a CIFS volume
holds its password)."""


def to_json(message: Message) -> Json:
    """The message as JSON."""
    result: Json = {}
    for name, is_repeated, shows_default, convert in _plan(message.DESCRIPTOR):
        if is_repeated:
            if values := getattr(message, name):
                result[name] = convert(values)
        elif shows_default or message.HasField(name):
            result[name] = convert(getattr(message, name))
    redact = _REDACTIONS.get(message.DESCRIPTOR.full_name)
    if redact is not None:
        redact(result)
    return result


def number(value: float) -> float | str:
    """A double as JSON has it: what JSON cannot say is a text that Mesos' own parser takes."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


_Convert = Callable[[Any], Any]


@cache
def _plan(descriptor: Descriptor) -> tuple[tuple[str, bool, bool, _Convert], ...]:
    """``(name, repeated, written when unset, conversion)`` of every field."""
    return tuple(
        (
            field.name,
            field.is_repeated,
            field.has_default_value and field.full_name not in _DEPRECATED,
            _of_many(field) if field.is_repeated else _of_one(field),
        )
        for field in descriptor.fields
    )


def _of_many(field: FieldDescriptor) -> _Convert:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        value = _of_one(kind.fields_by_name["value"])
        return lambda values: {str(key): value(values[key]) for key in values}
    one = _of_one(field)
    return lambda values: [one(value) for value in values]


def _of_one(field: FieldDescriptor) -> _Convert:
    if field.message_type is not None:
        return to_json
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda value: names.get(value, value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return number
    return _same


def _same(value: Any) -> Any:
    return value


# --- what is not shown ----------------------------------------------------------------------


def _hide_variable(variable: Json) -> None:
    if "value" in variable:
        variable["value"] = HIDDEN


def _hide_secret(secret: Json) -> None:
    if "data" in secret:
        secret["data"] = HIDDEN


def _hide_parameter(parameter: Json) -> None:
    if _TELLING.search(parameter["key"]):
        name, equals, _ = parameter["value"].partition("=")
        parameter["value"] = f"{name}={HIDDEN}" if equals else HIDDEN


_without_passwords = Redactor()


def _hide_passwords(found: Json) -> None:
    """``http://user:password@host``, and what looks like a password on a command line."""
    if "value" in found:
        found["value"] = _without_passwords(found["value"])


_REDACTIONS: Mapping[str, Callable[[Json], None]] = {
    "mesos.CommandInfo": _hide_passwords,
    "mesos.CommandInfo.URI": _hide_passwords,
    "mesos.Environment.Variable": _hide_variable,
    "mesos.Secret.Value": _hide_secret,
    "mesos.Parameter": _hide_parameter,
}
