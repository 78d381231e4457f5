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
    docker_host: str
    """``tcp://host:2376``."""
    verify: bool
    ca: bytes | None
    """None: the system's CAs hold."""


def write(directory: Path, login: ClientCertificate, endpoint: LoginEndpoint) -> None:
    """Replace what is there. ConfigError when it cannot be written."""
    with staged(directory, login, endpoint) as new:
        take_up(new, directory)


@contextmanager
def staged(directory: Path, login: ClientCertificate, endpoint: LoginEndpoint) -> Iterator[Path]:
    """The files, whole and with mode 0600, in a directory of their own, to be tried and taken up.

    What was not taken up in the end is gone, and so is ``directory`` if it was made for this.
    ConfigError when it cannot be written.
    """
    made = not directory.exists()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".new.") as name:
            for each, content in _contents(directory, login, endpoint).items():
                _create(Path(name, each), content)
            yield Path(name)
    except OSError as error:
        raise ConfigError(f"--out={directory}: cannot be written: {error.strerror}") from error
    finally:
        if made:
            with suppress(OSError):  # it holds what was taken up
                directory.rmdir()


def take_up(new: Path, directory: Path) -> None:
    """Each file appears whole, the key before the certificate: a reader in between finds two
    that do not match and looks again."""
    for name in NAMES:
        if (new / name).exists():
            (new / name).replace(directory / name)
        else:
            (directory / name).unlink(missing_ok=True)


def https_url(docker_host: str) -> str:
    """``tcp://host[:port]`` -> ``https://host:port``. ValueError when it is nothing like it."""
    parts = urlsplit(docker_host)
    if parts.scheme not in ("tcp", "https") or not parts.hostname:
        raise ValueError("tcp://host:port is one")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"https://{host}:{parts.port or TLS_PORT}"


def environment(directory: Path, endpoint: LoginEndpoint) -> str:
    """A shell script that points Docker's clients at the endpoint. Provisioning takes minutes,
    hence the long client time limits."""
    # Set and empty is how all clients are told not to verify; the docker command speaks TLS to
    # such an endpoint only when asked to.
    verify = "=1" if endpoint.verify else "=\nexport DOCKER_TLS=1"
    return (
        f"export DOCKER_HOST={shlex.quote(endpoint.docker_host)}\n"
        f"export DOCKER_CERT_PATH={shlex.quote(str(directory.absolute()))}\n"
        f"export DOCKER_TLS_VERIFY{verify}\n"
        "export DOCKER_CLIENT_TIMEOUT=300\n"
        "export COMPOSE_HTTP_TIMEOUT=300\n"
    )


def read_endpoint(directory: Path) -> LoginEndpoint:
    """What an earlier run wrote. ConfigError when there was none."""
    path, authority = directory / "env.sh", directory / "ca.pem"
    try:
        text = os.fsdecode(path.read_bytes())
        ca = authority.read_bytes() if authority.exists() else None
    except OSError as error:
        raise ConfigError(
            f"--renew: {error.filename}: {error.strerror}: --url asks CloudAPI anew"
        ) from error
    return LoginEndpoint(_docker_host(path, text), "export DOCKER_TLS_VERIFY=1" in text, ca)


def _docker_host(path: Path, text: str) -> str:
    match = re.search(r"^export DOCKER_HOST=(.*)$", text, re.MULTILINE)
    if match is None:
        raise ConfigError(f"--renew: {path} does not set DOCKER_HOST: --url asks CloudAPI anew")
    try:
        (docker_host,) = shlex.split(match[1])
        https_url(docker_host)
    except ValueError as error:
        raise ConfigError(
            f"--renew: {path}: DOCKER_HOST={match[1]} is no endpoint ({error}): --url asks "
            "CloudAPI anew"
        ) from None
    return docker_host


def _contents(
    directory: Path, login: ClientCertificate, endpoint: LoginEndpoint
) -> dict[str, bytes]:
    contents = {
        "key.pem": login.key_pem,
        "cert.pem": login.certificate_pem,
        "env.sh": os.fsencode(environment(directory, endpoint)),
    }
    return contents if endpoint.ca is None else {"ca.pem": endpoint.ca, **contents}


def _create(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
