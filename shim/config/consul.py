"""``--consul`` and Consul's own environment variables -> :class:`ConsulConfig`. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from shim.errors import ConfigError
from shim.model.settings import CheckMode, ConsulConfig, RegisterMode, header_value

DEFAULT_PORT = 8500


def consul_config(
    consul: str | None,
    register: str,
    checks: str,
    env: Mapping[str, str],
) -> ConsulConfig | None:
    """From ``--consul``, ``--consul_register``, ``--consul_checks`` and the environment.

    None when neither ``--consul`` nor CONSUL_HTTP_ADDR gives an address. Raises ConfigError with
    the flag or variable and, unless the value is a secret, the value. Reads no file.
    """
    register_mode = _choice(RegisterMode, "--consul_register", register)
    check_mode = _choice(CheckMode, "--consul_checks", checks)
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
    return ConsulConfig(
        scheme,
        host,
        port,
        socket,
        register_mode,
        check_mode,
        token=header_value("CONSUL_HTTP_TOKEN", env.get("CONSUL_HTTP_TOKEN", "")),
        token_file=env.get("CONSUL_HTTP_TOKEN_FILE", ""),
        auth=_auth(env.get("CONSUL_HTTP_AUTH", "")),
        verify=_boolean(env, "CONSUL_HTTP_SSL_VERIFY", True),
        ca_file=env.get("CONSUL_CACERT", ""),
        ca_path=env.get("CONSUL_CAPATH", ""),
        client_cert=cert,
        client_key=key,
        server_name=env.get("CONSUL_TLS_SERVER_NAME", ""),
        namespace=header_value("CONSUL_NAMESPACE", env.get("CONSUL_NAMESPACE", "")),
    )


_Choice = TypeVar("_Choice", bound=enum.Enum)


def _choice(kind: type[_Choice], flag: str, value: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise ConfigError(f"{flag}={value!r} is not one of {known}") from None


_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
"""The texts that Consul's own clients accept as booleans."""


def _boolean(env: Mapping[str, str], name: str, default: bool) -> bool:
    value = env.get(name, "")
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        raise ConfigError(f"{name}={value!r} is neither true nor false")
    return value in _TRUE


def _auth(value: str) -> str:
    if value and ":" not in value:
        raise ConfigError("CONSUL_HTTP_AUTH is not user:password (the value is not shown)")
    return value


def _address(source: str, value: str, tls: bool) -> tuple[str, str, int, str]:
    """``(scheme, host, port, socket)``."""
    if value.startswith("unix://"):
        return "http", "localhost", 0, value.removeprefix("unix://")
    try:
        url = urlsplit(value if "://" in value else f"{'https' if tls else 'http'}://{value}")
        port = url.port
    except ValueError as error:
        raise ConfigError(f"{source}={_redacted(value)!r}: {error}") from None
    if url.username is not None:
        raise ConfigError(
            f"{source}={_redacted(value)!r}: user and password belong into CONSUL_HTTP_AUTH"
        )
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query:
        raise ConfigError(
            f"{source}={_redacted(value)!r} is none of host:port, http://host:port, "
            "https://host:port, unix:///path"
        )
    return url.scheme, url.hostname, DEFAULT_PORT if port is None else port, ""


def _redacted(address: str) -> str:
    """``address`` without the part before an ``@``, which may hold a password."""
    return address if "@" not in address else f"***@{address.rpartition('@')[2]}"
