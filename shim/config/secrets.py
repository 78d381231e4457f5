"""``--credential``, ``--http_credentials`` and ``--docker_config``: files or JSON with secrets.

Raises ValueError with a reason that shows no part of what a file or value holds.
"""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shim.config.files import read_file
from shim.engine.images.credentials import DockerConfig, docker_config_of_agent
from shim.model.settings import Credential

log = logging.getLogger(__name__)


def credential(text: str) -> Credential:
    """From ``{"principal": ..., "secret": ...}`` or two words, inline or in a file."""
    document = _contents(text)
    words = document.split()
    if not document.lstrip().startswith("{"):
        if len(words) != 2:
            raise ValueError(f"holds {len(words)} words, not a principal and a secret")
        return _credential({"principal": words[0], "secret": words[1]})
    return _credential(_object(document))


def http_credentials(text: str) -> Mapping[str, str]:
    """Principal -> secret, from ``{"credentials": [...]}`` inline or in a file."""
    entries = _object(_contents(text)).get("credentials")
    if not isinstance(entries, list) or not entries:
        raise ValueError('no list "credentials" in it')
    found = [_credential(entry) for entry in entries]
    for one in found:
        if ":" in one.principal:
            raise ValueError(f"principal {one.principal!r}: HTTP's Basic scheme allows no colon")
    return {one.principal: one.secret.decode() for one in found}


def docker_config(text: str) -> DockerConfig:
    """A docker ``config.json`` (or the older ``.dockercfg``), inline or in a file."""
    return docker_config_of_agent(_object(_contents(text)))


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
        # The error's text would show nothing of the document, but its class may hold it whole.
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"not JSON{where}") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _credential(entry: object) -> Credential:
    values = entry if isinstance(entry, dict) else {}
    principal, secret = values.get("principal"), values.get("secret")
    if not (isinstance(principal, str) and isinstance(secret, str) and principal and secret):
        raise ValueError('a credential is {"principal": "...", "secret": "..."}')
    return Credential(principal, secret.encode())
