"""Chooses the Docker endpoint and its certificates from flags, environment and docker context."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from docker.context import ContextAPI
from docker.context.config import get_current_context_name

from shim.errors import ConfigError, error_text

DEFAULT_HOST = "unix:///var/run/docker.sock"
PLAIN_PORT, TLS_PORT = 2375, 2376


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the engine listens. ``str()`` may be logged: it holds no secret."""

    host: str
    """As the user wrote it."""
    url: str
    """Base of every request, without a slash at its end."""
    socket: str = ""
    """Path of the unix socket, empty for TCP."""
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    certificates: str = ""
    """Directory with the client certificate, whose files may be replaced; empty without one."""

    @property
    def verified(self) -> bool:
        """Whether the endpoint's certificate is verified; True without TLS."""
        return self.tls is None or self.tls.verify_mode is not ssl.CERT_NONE

    @property
    def is_local(self) -> bool:
        """Whether the engine is on this machine, going by its socket."""
        return bool(self.socket)

    def __str__(self) -> str:
        return self.host


@dataclass(frozen=True, slots=True)
class _Choice:
    """A host and its certificate directory, each with the flag or variable it is from."""

    host: str
    source: str
    cert_path: str = ""
    cert_source: str = ""
    verify: bool | None = None


def resolve(
    host: str = "",
    cert_path: str = "",
    tls_verify: bool | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Endpoint:
    """The flags' endpoint, else the environment's, else the current docker context's.

    The endpoint's certificate is verified unless a flag, variable or context says otherwise.
    Raises ConfigError naming the flag (or variable) and its value.
    """
    choice = _choose(host, cert_path, tls_verify, environ)
    parts = _split(choice)
    if parts.scheme == "unix":
        return Endpoint(choice.host, "http://docker", parts.path)
    secure = parts.scheme == "https" or bool(choice.cert_path) or choice.verify is True
    scheme, port = ("https", TLS_PORT) if secure else ("http", PLAIN_PORT)
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    url = f"{scheme}://{name}:{parts.port or port}{parts.path.rstrip('/')}"
    if not secure:
        return Endpoint(choice.host, url)
    directory = Path(choice.cert_path or _config_directory(environ))
    certificates = str(directory) if (directory / "cert.pem").exists() else ""
    return Endpoint(choice.host, url, "", _tls(choice, environ), certificates)


def _choose(
    host: str, cert_path: str, tls_verify: bool | None, environ: Mapping[str, str]
) -> _Choice:
    certs = cert_path or environ.get("DOCKER_CERT_PATH", "")
    certs_from = "--docker_cert_path" if cert_path else "DOCKER_CERT_PATH"
    if tls_verify is None and "DOCKER_TLS_VERIFY" in environ:
        tls_verify = bool(environ["DOCKER_TLS_VERIFY"])
    if host:
        return _Choice(host, "--docker_host", certs, certs_from, tls_verify)
    if environ.get("DOCKER_HOST"):
        return _Choice(environ["DOCKER_HOST"], "DOCKER_HOST", certs, certs_from, tls_verify)
    return _from_context(_Choice(DEFAULT_HOST, "default", certs, certs_from, tls_verify), environ)


def _from_context(default: _Choice, environ: Mapping[str, str]) -> _Choice:
    name = environ.get("DOCKER_CONTEXT") or get_current_context_name()
    if name == "default":
        return default
    source = f"docker context {name!r}"
    try:
        context = ContextAPI.get_context(name)
    except Exception as error:  # the docker package raises bare ones for a broken context
        raise ConfigError(f"{source} cannot be read: {error}") from None
    if context is None or "docker" not in context.endpoints:
        raise ConfigError(f"{source} does not exist or has no docker endpoint")
    endpoint = context.endpoints["docker"]
    tls = context.tls_cfg.get("docker")
    certs = str(Path(tls.cert[0]).parent) if tls is not None and tls.cert else ""
    verify = False if certs and endpoint.get("SkipTLSVerify") else None
    return _Choice(endpoint["Host"], source, certs, source, verify)


class _Parts:
    """The parts of a host. The scheme of ``tcp://`` is ``http``: TLS is decided later."""

    __slots__ = ("hostname", "path", "port", "scheme")

    def __init__(self, scheme: str, hostname: str | None, port: int | None, path: str) -> None:
        self.scheme, self.hostname, self.port, self.path = scheme, hostname, port, path


def _split(choice: _Choice) -> _Parts:
    text = choice.host
    wrong = ConfigError(
        f"{choice.source}: {text!r} is not a Docker endpoint: "
        "expected unix:///path, tcp://host:port or https://host:port"
    )
    if text.startswith("/"):
        text = f"unix://{text}"
    elif "://" not in text:
        text = f"tcp://{text}"
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise wrong from None
    if url.scheme == "unix" and url.path.startswith("/") and not url.netloc:
        return _Parts("unix", None, None, url.path)
    if url.scheme not in ("tcp", "http", "https") or not url.hostname or url.username:
        raise wrong
    return _Parts("https" if url.scheme == "https" else "http", url.hostname, port, url.path)


def tls_context(directory: Path, *, certificate: bool, verify: bool) -> ssl.SSLContext:
    """Trusts ``ca.pem``, else the system's CAs. ``certificate`` loads cert.pem and key.pem.

    OSError or ValueError when a file cannot be used.
    """
    authority, cert, key = (directory / name for name in ("ca.pem", "cert.pem", "key.pem"))
    context = ssl.create_default_context(cafile=authority if authority.exists() else None)
    # Handmade daemon certificates often lack extensions that Python 3.13 requires.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if certificate:
        for file in (cert, key):
            file.read_bytes()  # OpenSSL's error does not name the missing file
        context.load_cert_chain(cert, key, password=_no_password)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _tls(choice: _Choice, environ: Mapping[str, str]) -> ssl.SSLContext:
    directory = Path(choice.cert_path or _config_directory(environ))
    if choice.cert_path and not directory.is_dir():
        raise ConfigError(f"{choice.cert_source}: {choice.cert_path!r} is not a directory")
    wanted = bool(choice.cert_path)
    certificate = wanted or (directory / "cert.pem").exists()
    try:
        return tls_context(directory, certificate=certificate, verify=choice.verify is not False)
    except (OSError, ValueError) as error:
        name = choice.cert_source if wanted else "TLS"
        raise ConfigError(
            f"{name}: no usable certificates in {str(directory)!r}: {error_text(error)}"
        ) from None


def _no_password() -> str:
    raise ValueError("key.pem is encrypted: a daemon cannot ask for its passphrase")


def _config_directory(environ: Mapping[str, str]) -> str:
    return environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
