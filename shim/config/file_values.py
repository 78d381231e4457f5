"""Flag values that are read from files: credentials, ``--docker_config``, ``--triton_prices``.

The parsers raise ValueError. For values with secrets the reason shows no part of the value.
"""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shim import limits
from shim.config.resources.value_parsers import parse_json
from shim.config.values import PATH
from shim.engine.images.credentials import DockerConfig, docker_config_of_agent
from shim.model.json_text import LONE_SURROGATE, has_lone_surrogate
from shim.model.settings import Credential

log = logging.getLogger(__name__)

_HIGHEST_PRICE = 1e9
"""In any currency. Sums of higher prices would lose their decimals."""


def read_file(path: Path) -> str:
    """The text of a small file. Raises ValueError with a reason without flag and contents."""
    try:
        with path.open("rb") as file:
            data = file.read(limits.FLAG_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(data) > limits.FLAG_FILE_BYTES:
        raise ValueError(f"more than {limits.FLAG_FILE_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None


def prices(text: str) -> Mapping[str, float]:
    """``--triton_prices``: the price per hour by package, from a JSON file."""
    document = parse_json(read_file(PATH.parse(text)))
    if not isinstance(document, dict):
        raise ValueError("not an object of package names and prices per hour")
    for package, price in document.items():
        number = isinstance(price, int | float) and not isinstance(price, bool)
        if not number or not 0 <= price <= _HIGHEST_PRICE:
            raise ValueError(f"{package!r}: {repr(price)[:60]} is not a price per hour")
    return {package: float(price) for package, price in document.items()}


def credential(text: str) -> Credential:
    """``--credential``: ``{"principal": ..., "secret": ...}``, or a file with that or two words."""
    document = _contents(text)
    words = document.split()
    if not document.lstrip().startswith("{"):
        if len(words) != 2:
            raise ValueError(f"holds {len(words)} words, not a principal and a secret")
        return _credential({"principal": words[0], "secret": words[1]})
    return _credential(_object(document))


def http_credentials(text: str) -> Mapping[str, str]:
    """``--http_credentials``: principal -> secret, from ``{"credentials": [...]}`` or a file."""
    entries = _object(_contents(text)).get("credentials")
    if not isinstance(entries, list) or not entries:
        raise ValueError('no list "credentials" in it')
    found = [_credential(entry) for entry in entries]
    for one in found:
        if ":" in one.principal:
            raise ValueError(f"principal {one.principal!r}: HTTP's Basic scheme allows no colon")
    return {one.principal: one.secret.decode() for one in found}


def secret_key(text: str) -> bytes:
    """``--jwt_secret_key``: the bytes of a file, without a line break at its end."""
    if text.lstrip().startswith("{"):
        raise ValueError("not a path")
    key = _contents(text).rstrip("\r\n").encode()
    if not key:
        raise ValueError("the file is empty")
    return key


def docker_config(text: str) -> DockerConfig:
    """``--docker_config``: a docker ``config.json`` (or ``.dockercfg``), inline or in a file."""
    return docker_config_of_agent(_object(_contents(text)))


def volume_driver_options(text: str) -> Mapping[str, str]:
    """``--volume_driver_options``: ``key=value,key=value``, or a JSON object of texts."""
    if not text.lstrip().startswith("{"):
        pairs = [pair.partition("=") for pair in text.split(",")]
        if not all(name and equals for name, equals, _ in pairs):
            raise ValueError("neither key=value,key=value nor a JSON object")
        return {name: value for name, _, value in pairs}
    return _texts(text)


def environment_variables(text: str) -> Mapping[str, str]:
    """``--executor_environment_variables``: a JSON object of names and values."""
    variables = _texts(text)
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"{name!r} cannot be the name of a variable, or has a NUL character")
    return variables


def _texts(document: str) -> Mapping[str, str]:
    """A JSON object whose values are texts. The reason of an error shows no value."""
    found = _object(document)
    for name, value in found.items():
        if not isinstance(value, str):
            raise ValueError(f"{name!r} is not a text: quote the value")
    return found


def _contents(text: str) -> str:
    if text.lstrip().startswith("{"):
        return text
    path = Path(text.removeprefix("file://"))
    document = read_file(path)
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("%s holds secrets and is open to others: chmod 600 %s", path, path)
    return document


def _object(document: str) -> Mapping[str, Any]:
    try:
        value = json.loads(document)
    except (ValueError, RecursionError) as error:
        # The error is dropped: JSONDecodeError holds the complete document.
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"not JSON{where}") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if has_lone_surrogate(value):
        raise ValueError(LONE_SURROGATE)
    return value


def _credential(entry: object) -> Credential:
    values = entry if isinstance(entry, dict) else {}
    principal, secret = values.get("principal"), values.get("secret")
    if not (isinstance(principal, str) and isinstance(secret, str) and principal and secret):
        raise ValueError('a credential is {"principal": "...", "secret": "..."}')
    return Credential(principal, secret.encode())
