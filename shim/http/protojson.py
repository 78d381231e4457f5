"""Messages as JSON, their names the wire's, without the secrets that are in them.

Otherwise than a stock agent we never show the values of environment variables, of secrets and of
parameters that hold either: pages are open to everybody in most clusters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from shim.model.protojson import Json as Json
from shim.model.protojson import Writer
from shim.telemetry.log import HIDDEN, Redactor

_TELLING = re.compile(r"(?i)pass|secret|token|credential|\bkey\b|^e$|^env|^o$")
"""Keys of Docker and volume driver parameters whose value may be a secret (``o`` of a CIFS volume
holds its password)."""


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

to_json = Writer(redactions=_REDACTIONS).to_json
"""The message as JSON, without secrets."""
