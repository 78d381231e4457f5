"""A Docker login on disk, as `mesos-shim certs` writes it."""

from __future__ import annotations

from pathlib import Path

from shim.certs.certificate import ClientCertificate
from shim.certs.login_files import LoginEndpoint, install, staged


def write_login(directory: Path, login: ClientCertificate, endpoint: LoginEndpoint) -> None:
    """Write the files, replacing any that exist. ConfigError when they cannot be written."""
    with staged(directory, login, endpoint) as new:
        install(new, directory)
