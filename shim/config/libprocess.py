"""The environment variables of libprocess that Mesos' own processes read: ``LIBPROCESS_*``.

libprocess ignores the case of a name behind its prefix, and an empty value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Literal

from shim.config.values import boolean
from shim.errors import ConfigError
from shim.model.settings import TlsSettings, TlsVersion

_PREFIX = "LIBPROCESS_"
_SSL = "SSL_"
"""Masters before 1.0 had the prefix ``SSL_`` alone. It is not read: other programs use it too."""

CIPHERS = (
    "ECDHE+AESGCM:"
    "AES128-SHA:AES256-SHA:DHE-RSA-AES128-SHA:DHE-DSS-AES128-SHA:DHE-RSA-AES256-SHA:"
    "DHE-DSS-AES256-SHA"
)
"""The default: those of libprocess without RC4, behind better ones that newer peers share."""

_VERSIONS: tuple[tuple[str, TlsVersion], ...] = (
    ("ENABLE_TLS_V1_0", "1.0"),
    ("ENABLE_TLS_V1_1", "1.1"),
    ("ENABLE_TLS_V1_2", "1.2"),
    ("ENABLE_TLS_V1_3", "1.3"),
)
_NO_SSL_3 = "SSL 3 is in no OpenSSL that this program can use"


class Environment:
    """The variables with the prefix, by their names in upper case without it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._values: dict[str, tuple[str, str]] = {}
        for name, value in environ.items():
            if name.startswith(_PREFIX) and value:
                self._values[name.upper().removeprefix(_PREFIX)] = name, value

    def text(self, name: str) -> str:
        return self._values.get(name, ("", ""))[1]

    def flag(self, name: str, default: bool = False) -> bool:
        """Raises ConfigError with variable and value."""
        if name not in self._values:
            return default
        variable, value = self._values[name]
        try:
            return boolean(value)
        except ValueError as error:
            raise ConfigError(f"{variable}={value}: {error}") from None

    def number(self, name: str, default: int) -> int:
        """A count. Raises ConfigError with variable and value."""
        variable, value = self._values.get(name, ("", str(default)))
        if not re.fullmatch(r"[0-9]{1,9}", value):
            raise ConfigError(f"{variable}={value}: not a whole number")
        return int(value)

    def file(self, name: str, *, directory: bool = False) -> str:
        """The path, if it can be read. Raises ConfigError with variable and value."""
        if name not in self._values:
            return ""
        variable, value = self._values[name]
        path = value.removeprefix("file://")
        if directory and not os.path.isdir(path):
            raise ConfigError(f"{variable}={value}: not a directory")
        if not directory and not os.path.isfile(path):
            raise ConfigError(f"{variable}={value}: not a file")
        if not os.access(path, os.R_OK):
            raise ConfigError(f"{variable}={value}: permission denied")
        return path

    def refuse(self, name: str, why: str) -> None:
        if name in self._values and self.text(name) not in ("0", "false"):
            variable, value = self._values[name]
            raise ConfigError(f"{variable}={value}: {why}")


def peer_ip_match(environ: Mapping[str, str]) -> bool:
    """``LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH``."""
    return Environment(environ).flag("REQUIRE_PEER_ADDRESS_IP_MATCH")


def tls_settings(environ: Mapping[str, str]) -> TlsSettings | None:
    """``LIBPROCESS_SSL_*``, with the meaning and the defaults of Mesos. None: TLS is off.

    Raises ConfigError with the variable and its value.
    """
    env = Environment(environ)
    if not env.flag(_SSL + "ENABLED"):
        return None
    env.refuse(_SSL + "ENABLE_SSL_V3", _NO_SSL_3)
    require = env.flag(_SSL + "REQUIRE_CLIENT_CERT") or env.flag(_SSL + "REQUIRE_CERT")
    verify = env.flag(_SSL + "VERIFY_SERVER_CERT") or env.flag(_SSL + "VERIFY_CERT")
    return TlsSettings(
        cert_file=_required(env, "CERT_FILE"),
        key_file=_required(env, "KEY_FILE"),
        ca_file=env.file(_SSL + "CA_FILE"),
        ca_dir=env.file(_SSL + "CA_DIR", directory=True),
        verify_server_cert=verify or require,
        require_client_cert=require,
        verify_ipadd=env.flag(_SSL + "VERIFY_IPADD"),
        validation_scheme=_scheme(env.text(_SSL + "HOSTNAME_VALIDATION_SCHEME")),
        support_downgrade=env.flag(_SSL + "SUPPORT_DOWNGRADE"),
        ciphers=env.text(_SSL + "CIPHERS") or CIPHERS,
        ecdh_curves=_curves(env.text(_SSL + "ECDH_CURVES")),
        verification_depth=env.number(_SSL + "VERIFICATION_DEPTH", 4),
        versions=_versions(env),
    )


def _required(env: Environment, name: str) -> str:
    path = env.file(_SSL + name)
    if not path:
        raise ConfigError(f"{_PREFIX}{_SSL}{name} is missing: {_PREFIX}{_SSL}ENABLED is set")
    return path


def _scheme(text: str) -> Literal["legacy", "openssl"]:
    if text == "openssl":
        return "openssl"
    if text in ("", "legacy"):
        return "legacy"
    name = f"{_PREFIX}{_SSL}HOSTNAME_VALIDATION_SCHEME"
    raise ConfigError(f"{name}={text}: neither legacy nor openssl")


def _curves(text: str) -> tuple[str, ...]:
    return () if text in ("", "auto") else tuple(text.split(":"))


def _versions(env: Environment) -> tuple[TlsVersion, ...]:
    versions = tuple(
        version for name, version in _VERSIONS if env.flag(_SSL + name, default=version == "1.2")
    )
    if not versions:
        raise ConfigError(f"{_PREFIX}{_SSL}ENABLE_TLS_V1_2=0: no version of TLS is left")
    return versions
