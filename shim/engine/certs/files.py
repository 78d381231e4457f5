"""The four files of a Docker login: ``key.pem``, ``cert.pem``, ``ca.pem`` and ``env.sh``."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from shim.engine.certs.certificate import Login
from shim.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Endpoint:
    docker_host: str
    """``tcp://host:2376``."""
    verify: bool
    ca: bytes | None


def write(directory: Path, login: Login, endpoint: Endpoint) -> None:
    """Each file appears whole and with mode 0600, or not at all.

    The key comes before the certificate; a reader in between finds two that do not match and
    looks again.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if endpoint.ca is not None:
            _replace(directory / "ca.pem", endpoint.ca)
        _replace(directory / "key.pem", login.key_pem)
        _replace(directory / "cert.pem", login.certificate_pem)
        _replace(directory / "env.sh", environment(directory, endpoint).encode())
    except OSError as error:
        raise ConfigError(f"--out={directory}: cannot be written: {error.strerror}") from error


def environment(directory: Path, endpoint: Endpoint) -> str:
    """A shell script that points Docker's clients at the endpoint. Provisioning takes minutes,
    hence the long client time limits."""
    verify = "export DOCKER_TLS_VERIFY=1" if endpoint.verify else "unset DOCKER_TLS_VERIFY"
    return (
        f"export DOCKER_HOST={shlex.quote(endpoint.docker_host)}\n"
        f"export DOCKER_CERT_PATH={shlex.quote(str(directory.absolute()))}\n"
        f"{verify}\n"
        "export DOCKER_CLIENT_TIMEOUT=300\n"
        "export COMPOSE_HTTP_TIMEOUT=300\n"
    )


def read_endpoint(directory: Path) -> Endpoint:
    """What an earlier run wrote. ConfigError when there was none."""
    try:
        text = (directory / "env.sh").read_text()
    except OSError as error:
        raise ConfigError(
            f"--renew: {directory} holds no env.sh of an earlier run: give --url"
        ) from error
    match = re.search(r"^export DOCKER_HOST=(.+)$", text, re.MULTILINE)
    if match is None:
        raise ConfigError(f"--renew: {directory}/env.sh does not set DOCKER_HOST: give --url")
    return Endpoint(shlex.split(match[1])[0], "export DOCKER_TLS_VERIFY" in text, None)


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:  # mkstemp made it with mode 0600
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
