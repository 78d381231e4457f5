"""The four files of a Docker login: ``key.pem``, ``cert.pem``, ``ca.pem`` and ``env.sh``."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shim.certs.certificate import ClientCertificate
from shim.engine.client.endpoint import TLS_PORT
from shim.errors import ConfigError

NAMES = ("ca.pem", "key.pem", "cert.pem", "env.sh")
"""In the order in which they are replaced: the certificate is new only when its key is."""


@dataclass(frozen=True, slots=True)
class LoginEndpoint:
    """The Docker endpoint that a login is for."""

    docker_host: str
    """``tcp://host:2376``."""
    verify: bool
    ca: bytes | None
    """PEM; None: the system's CAs are used."""


@contextmanager
def staged(directory: Path, login: ClientCertificate, endpoint: LoginEndpoint) -> Iterator[Path]:
    """A temporary directory with the files, mode 0600, to be tried and then installed.

    Files that were not installed are removed at the end, and so is ``directory`` if it is new and
    still empty. ConfigError when they cannot be written.
    """
    created = not directory.exists()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".new.") as name:
            for each, content in _contents(directory, login, endpoint).items():
                _create(Path(name, each), content)
            yield Path(name)
    except OSError as error:
        raise ConfigError(f"--out={directory}: cannot be written: {error.strerror}") from error
    finally:
        if created:
            with suppress(OSError):  # the installed files are in it
                directory.rmdir()


def install(new: Path, directory: Path) -> None:
    """Replace the files in ``directory``, each atomically, the key before the certificate.

    A reader in between finds two files that do not match, and reads them again later.
    """
    for name in NAMES:
        if (new / name).exists():
            (new / name).replace(directory / name)
        else:
            (directory / name).unlink(missing_ok=True)


def https_url(docker_host: str) -> str:
    """``tcp://host[:port]`` -> ``https://host:port``. ValueError for any other form."""
    parts = urlsplit(docker_host)
    if parts.scheme not in ("tcp", "https") or not parts.hostname:
        raise ValueError("expected tcp://host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"https://{host}:{parts.port or TLS_PORT}"


def env_script(directory: Path, endpoint: LoginEndpoint) -> str:
    """A shell script that points Docker's clients at the endpoint.

    The clients' time limits are long because provisioning takes minutes.
    """
    # DOCKER_TLS_VERIFY set and empty makes all clients skip verification. The docker command then
    # needs DOCKER_TLS to speak TLS at all.
    verify = "=1" if endpoint.verify else "=\nexport DOCKER_TLS=1"
    return (
        f"export DOCKER_HOST={shlex.quote(endpoint.docker_host)}\n"
        f"export DOCKER_CERT_PATH={shlex.quote(str(directory.absolute()))}\n"
        f"export DOCKER_TLS_VERIFY{verify}\n"
        "export DOCKER_CLIENT_TIMEOUT=300\n"
        "export COMPOSE_HTTP_TIMEOUT=300\n"
    )


def read_endpoint(directory: Path) -> LoginEndpoint:
    """The endpoint that an earlier run wrote to ``env.sh`` and ``ca.pem``. ConfigError."""
    path, authority = directory / "env.sh", directory / "ca.pem"
    try:
        text = os.fsdecode(path.read_bytes())
        ca = authority.read_bytes() if authority.exists() else None
    except OSError as error:
        raise ConfigError(
            f"--renew: {error.filename}: {error.strerror}: --url asks CloudAPI again"
        ) from error
    return LoginEndpoint(_docker_host(path, text), "export DOCKER_TLS_VERIFY=1" in text, ca)


def _docker_host(path: Path, text: str) -> str:
    match = re.search(r"^export DOCKER_HOST=(.*)$", text, re.MULTILINE)
    if match is None:
        raise ConfigError(f"--renew: {path} does not set DOCKER_HOST: --url asks CloudAPI again")
    try:
        (docker_host,) = shlex.split(match[1])
        https_url(docker_host)
    except ValueError as error:
        raise ConfigError(
            f"--renew: {path}: DOCKER_HOST={match[1]} is no endpoint ({error}): --url asks "
            "CloudAPI again"
        ) from None
    return docker_host


def _contents(
    directory: Path, login: ClientCertificate, endpoint: LoginEndpoint
) -> dict[str, bytes]:
    contents = {
        "key.pem": login.key_pem,
        "cert.pem": login.certificate_pem,
        "env.sh": os.fsencode(env_script(directory, endpoint)),
    }
    return contents if endpoint.ca is None else {"ca.pem": endpoint.ca, **contents}


def _create(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
