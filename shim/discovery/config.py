"""Flags and Consul's own environment variables -> how to reach Consul and what to register."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from shim.errors import ConfigError

DEFAULT_PORT = 8500


class Register(enum.Enum):
    """Which tasks are registered. A label ``consul=false`` always opts out."""

    ALL = "all"
    LABELLED = "labelled"
    NONE = "none"


class Checks(enum.Enum):
    """Who looks after a task's health."""

    MESOS = "mesos"
    """The shim tells Consul what Mesos' health check says."""
    CONSUL = "consul"
    """Consul runs HTTP and TCP checks itself: its agent reaches the containers' addresses."""


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """One Consul agent and the rules of registration. ``repr`` shows no secret."""

    scheme: str
    host: str
    port: int
    socket: str = ""
    """Path of a Unix socket; host and port mean nothing then."""
    register: Register = Register.ALL
    checks: Checks = Checks.MESOS
    token: str = field(default="", repr=False)
    token_file: str = ""
    auth: str = field(default="", repr=False)
    """``user:password`` of a proxy in front of Consul."""
    verify: bool = True
    ca_file: str = ""
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    server_name: str = ""
    namespace: str = ""

    @property
    def url(self) -> str:
        """Fit for a log: no credentials."""
        if self.socket:
            return f"unix://{self.socket}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def discovery_config(
    consul: str | None,
    register: str,
    checks: str,
    env: Mapping[str, str],
) -> DiscoveryConfig | None:
    """From ``--consul``, ``--consul_register``, ``--consul_checks`` and the environment.

    None when neither ``--consul`` nor CONSUL_HTTP_ADDR gives an address. Raises ConfigError
    naming flag or variable and, unless it is a secret, the value. Reads no file.
    """
    rule = _choice(Register, "--consul_register", register)
    mode = _choice(Checks, "--consul_checks", checks)
    source, address = (
        ("--consul", consul) if consul else ("CONSUL_HTTP_ADDR", env.get("CONSUL_HTTP_ADDR"))
    )
    if not address:
        return None
    scheme, host, port, socket = _address(source, address, _boolean(env, "CONSUL_HTTP_SSL", False))
    cert, key = env.get("CONSUL_CLIENT_CERT", ""), env.get("CONSUL_CLIENT_KEY", "")
    if bool(cert) != bool(key):
        raise ConfigError(
            f"CONSUL_CLIENT_CERT={cert!r} and CONSUL_CLIENT_KEY={key!r}: give both or neither"
        )
    return DiscoveryConfig(
        scheme,
        host,
        port,
        socket,
        rule,
        mode,
        token=printable("CONSUL_HTTP_TOKEN", env.get("CONSUL_HTTP_TOKEN", "")),
        token_file=env.get("CONSUL_HTTP_TOKEN_FILE", ""),
        auth=_auth(env.get("CONSUL_HTTP_AUTH", "")),
        verify=_boolean(env, "CONSUL_HTTP_SSL_VERIFY", True),
        ca_file=env.get("CONSUL_CACERT", ""),
        ca_path=env.get("CONSUL_CAPATH", ""),
        client_cert=cert,
        client_key=key,
        server_name=env.get("CONSUL_TLS_SERVER_NAME", ""),
        namespace=printable("CONSUL_NAMESPACE", env.get("CONSUL_NAMESPACE", "")),
    )


def printable(source: str, value: str) -> str:
    """``value`` if it can go into a header; the error does not show it."""
    if not (value.isascii() and value.isprintable()):
        raise ConfigError(f"{source} holds a character that an HTTP header cannot carry")
    return value


_Choice = TypeVar("_Choice", bound=enum.Enum)


def _choice(kind: type[_Choice], flag: str, value: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise ConfigError(f"{flag}={value!r} is none of {known}") from None


_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def _boolean(env: Mapping[str, str], name: str, default: bool) -> bool:
    value = env.get(name, "")
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        raise ConfigError(f"{name}={value!r} is neither true nor false")
    return value in _TRUE


def _auth(value: str) -> str:
    if value and ":" not in value:
        raise ConfigError("CONSUL_HTTP_AUTH is not user:password (its value is not shown)")
    return value


def _address(source: str, value: str, tls: bool) -> tuple[str, str, int, str]:
    """``(scheme, host, port, socket)``."""
    if value.startswith("unix://"):
        return "http", "localhost", 0, value.removeprefix("unix://")
    try:
        url = urlsplit(value if "://" in value else f"{'https' if tls else 'http'}://{value}")
        port = url.port
    except ValueError as error:
        raise ConfigError(f"{source}={_shown(value)!r}: {error}") from None
    if url.username is not None:
        raise ConfigError(
            f"{source}={_shown(value)!r}: user and password belong into CONSUL_HTTP_AUTH"
        )
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query:
        raise ConfigError(
            f"{source}={_shown(value)!r} is none of host:port, http://host:port, "
            "https://host:port, unix:///path"
        )
    return url.scheme, url.hostname, DEFAULT_PORT if port is None else port, ""


def _shown(address: str) -> str:
    """Without what stands before an ``@``: it may be a password."""
    return address if "@" not in address else f"***@{address.rpartition('@')[2]}"
