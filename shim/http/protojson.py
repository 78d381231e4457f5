"""Protobuf messages as JSON with the field names of the wire, and with secrets replaced by ``***``.

Unlike a stock agent, pages hide the values of environment variables, of secrets, and of parameters
that hold either: in most clusters anyone can read the pages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from shim.model.protojson import Json as Json
from shim.model.protojson import Writer
from shim.telemetry.log import HIDDEN, Redactor

_SECRET_KEY = re.compile(r"(?i)pass|secret|token|credential|\bkey\b|^e$|^env|^o$")
"""Keys of Docker and volume driver parameters whose value may be a secret (``o`` of a CIFS volume
holds its password)."""


def dump(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _hide_variable(variable: Json) -> None:
    if "value" in variable:
        variable["value"] = HIDDEN


def _hide_secret(secret: Json) -> None:
    if "data" in secret:
        secret["data"] = HIDDEN


def _hide_parameter(parameter: Json) -> None:
    if _SECRET_KEY.search(parameter["key"]):
        name, equals, _ = parameter["value"].partition("=")
        parameter["value"] = f"{name}={HIDDEN}" if equals else HIDDEN


_redact = Redactor()


def _hide_passwords(message: Json) -> None:
    """In ``http://user:password@host``, and where a command line seems to hold a password."""
    if "value" in message:
        message["value"] = _redact(message["value"])


REDACTIONS: Mapping[str, Callable[[Json], None]] = {
    "mesos.CommandInfo": _hide_passwords,
    "mesos.CommandInfo.URI": _hide_passwords,
    "mesos.Environment.Variable": _hide_variable,
    "mesos.Secret.Value": _hide_secret,
    "mesos.Parameter": _hide_parameter,
}

"""Full names of messages, with a function that hides the secrets in their JSON."""

to_json = Writer(redactions=REDACTIONS).to_json
"""The message as JSON, its secrets replaced."""


def hide_secrets(message: Message) -> None:
    """Replace the secrets in the message itself, as :data:`to_json` does in its JSON."""
    redact = REDACTIONS.get(message.DESCRIPTOR.full_name)
    present = message.ListFields()
    if redact is not None:
        texts = {f.name: value for f, value in present if isinstance(value, str | bytes)}
        hidden: Json = dict(texts)
        redact(hidden)
        for name, value in texts.items():
            if hidden[name] != value:
                text = hidden[name]
                setattr(message, name, text if isinstance(value, str) else text.encode())
    for field, value in present:
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            parts = value.values()
        else:
            parts = value if field.is_repeated else (value,)
        for part in parts:
            if isinstance(part, Message):
                hide_secrets(part)
