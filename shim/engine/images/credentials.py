"""Docker configs and the registry credentials in them. No message or repr holds a secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shim.engine.api import Auth, ImageRef
from shim.engine.images.image_reference import DOCKER_HUB, HUB_HOSTS
from shim.errors import ConfigError, InvalidTask
from shim.protos.mesos_pb2 import Secret, TaskInfo

HUB_KEY = "https://index.docker.io/v1/"
SANDBOX_FILES = (".docker/config.json", ".dockercfg")
"""Files of a task's sandbox that may hold its own config; the first that exists counts."""


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """Credentials by registry (``host[:port]`` in lower case, or ``docker.io``)."""

    auths: Mapping[str, Auth]
    warnings: tuple[str, ...] = ()

    def auth(self, image: ImageRef) -> Auth | None:
        """The credentials for an image's registry; None: pull without credentials."""
        return self.auths.get(image.registry.lower())


def docker_config_of_agent(document: Mapping[str, Any]) -> DockerConfig:
    """The value of ``--docker_config``, a JSON object. ConfigError."""
    try:
        return _config(document)
    except ValueError as error:
        raise ConfigError(f"--docker_config is not a Docker config: {error}") from None


def docker_config_of_task(task: TaskInfo, sandbox: Mapping[str, bytes]) -> DockerConfig | None:
    """The task's own config, which replaces the agent's; None: the agent's config counts.

    ``sandbox`` holds those of :data:`SANDBOX_FILES` that were fetched.
    """
    image = task.container.mesos.image.docker
    if image.HasField("config"):
        return _config_of_image(image.config)
    for name in SANDBOX_FILES:
        if name in sandbox:
            return _config_of_task(sandbox[name], f"fetched {name}")
    return None


def _config_of_image(secret: Secret) -> DockerConfig:
    field = "container.mesos.image.docker.config"
    if secret.type == Secret.REFERENCE:
        raise InvalidTask(f"Secrets by reference are not supported: {field}.reference")
    if not secret.HasField("value"):
        raise InvalidTask(f"Secret without a value: {field}")
    return _config_of_task(secret.value.data, field)


def _config_of_task(data: bytes, name: str) -> DockerConfig:
    try:
        return _parse(data.decode())
    except ValueError as error:
        raise InvalidTask(f"Not a Docker config ({error}): {name}") from None


def _parse(text: str) -> DockerConfig:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return _config(document)


def _config(document: Mapping[str, Any]) -> DockerConfig:
    """``config.json`` when it has ``auths`` (or helpers), else the older ``.dockercfg``."""
    helpers = [name for name in ("credsStore", "credHelpers") if document.get(name)]
    auths = document.get("auths", {} if helpers else document)
    if not isinstance(auths, Mapping):
        raise ValueError("auths is not an object")
    warnings = tuple(f"{name} names programs of a host and is not used" for name in helpers)
    return DockerConfig(_auths(auths), warnings)


def _auths(entries: Mapping[str, Any]) -> dict[str, Auth]:
    """By registry. A key that is the registry itself wins over one with scheme and path."""
    result: dict[str, Auth] = {}
    for key in sorted(entries, key=lambda key: key != _registry(key)):
        auth = _auth(key, entries[key])
        if auth is not None:
            result.setdefault(_registry(key), auth)
    return result


def _registry(key: str) -> str:
    """``https://reg:5000/v1/`` -> ``reg:5000``."""
    host = key.partition("://")[2] or key
    host = host.partition("/")[0].lower()
    return DOCKER_HUB if host in HUB_HOSTS else host


def _auth(key: str, entry: object) -> Auth | None:
    """One entry; None when it holds no credentials (a credential helper has them)."""
    if not isinstance(entry, dict):
        return None
    server = HUB_KEY if _registry(key) == DOCKER_HUB else _registry(key)
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Auth(identity_token=token, server=server)
    user, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        user, password = _decode(key, entry["auth"])
    if not (isinstance(user, str) and isinstance(password, str) and user):
        return None
    return Auth(username=user, password=password, server=server)


def _decode(key: str, text: object) -> tuple[str, str]:
    """``user:password`` in base64; the password may hold colons."""
    try:
        if not isinstance(text, str):
            raise ValueError
        padded = text.strip() + "=" * (-len(text.strip()) % 4)
        user, colon, password = base64.b64decode(padded, validate=True).decode().partition(":")
    except ValueError:
        raise ValueError(f"the auth of {key!r} is not base64 of user:password") from None
    if not colon:
        raise ValueError(f"the auth of {key!r} is not base64 of user:password")
    return user, password.rstrip("\0")
