"""Values of flags that more than one package reads: masters, credentials, Consul. Pure.

``config`` parses the flags into these types; ``wire``, ``discovery`` and ``check`` use them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Literal

from shim.errors import ConfigError

PortsMode = Literal["none", "virtual", "real"]
"""Meaning of the ``ports`` resource: ``none`` is offered, ``virtual`` ports are numbers that are
never bound, ``real`` ports are bound on the engine's host."""


TritonPods = Literal["refuse", "separate"]
"""What becomes of task groups on Triton: they are refused, or each task has its own address."""


@dataclass(frozen=True, slots=True)
class Credential:
    """The principal and the secret of an agent. ``repr`` does not show the secret."""

    principal: str
    secret: bytes = field(repr=False)


TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS between libprocess processes, as ``LIBPROCESS_SSL_*`` of the environment sets it."""

    cert_file: str
    """PEM: this process's certificate and its chain."""
    key_file: str
    ca_file: str = ""
    ca_dir: str = ""
    """Both empty: the authorities of the system."""
    verify_server_cert: bool = False
    """Check the certificate of a process that this one connects to."""
    require_client_cert: bool = False
    """Take connections only from peers with a valid certificate."""
    verify_ipadd: bool = False
    """An IP address in a certificate may prove the peer."""
    validation_scheme: Literal["legacy", "openssl"] = "legacy"
    """``legacy``: a certificate has the name to which the peer's address resolves. ``openssl``:
    only a server's certificate is compared, and with its address."""
    support_downgrade: bool = False
    """Take plain connections as well, and connect plainly to peers without TLS."""
    ciphers: str = ""
    ecdh_curves: tuple[str, ...] = ()
    """In the order of preference; empty: OpenSSL's own."""
    verification_depth: int = 4
    """Certificates between a peer's and its authority's, at most."""
    versions: tuple[TlsVersion, ...] = ("1.2",)


class RegisterMode(enum.Enum):
    """Which tasks are registered in Consul. A label ``consul=false`` always opts out."""

    ALL = "all"
    LABELLED = "labelled"
    NONE = "none"


class CheckMode(enum.Enum):
    """Which process runs a task's health check."""

    MESOS = "mesos"
    """The agent runs the health check and reports the result to Consul."""
    CONSUL = "consul"
    """Consul runs HTTP and TCP checks. Its agent must reach the containers' addresses."""


@dataclass(frozen=True, slots=True)
class ConsulConfig:
    """One Consul agent and the rules of registration. ``repr`` shows no secret."""

    scheme: str
    host: str
    port: int
    socket: str = ""
    """Path of a Unix socket. When it is set, ``host`` and ``port`` have no meaning."""
    register: RegisterMode = RegisterMode.ALL
    checks: CheckMode = CheckMode.MESOS
    token: str = field(default="", repr=False)
    token_file: str = ""
    auth: str = field(default="", repr=False)
    """``user:password`` for a proxy in front of Consul."""
    verify: bool = True
    ca_file: str = ""
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    server_name: str = ""
    namespace: str = ""

    @property
    def url(self) -> str:
        """The address without credentials, for logs."""
        if self.socket:
            return f"unix://{self.socket}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class StaticMaster:
    """A master at a fixed address."""

    host: str
    port: int
    id: str = "master"

    def __str__(self) -> str:
        return f"{self.id}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ZooKeeperUrl:
    """``zk://[user:password@]host:port,.../path``."""

    hosts: tuple[str, ...]
    """``host:port``; the port is always given."""
    path: str
    credentials: str | None = field(default=None, repr=False)
    """``user:password`` of ZooKeeper's digest scheme. ``str`` and ``repr`` do not show it."""

    def __str__(self) -> str:
        shown = "***@" if self.credentials else ""
        return f"zk://{shown}{','.join(self.hosts)}{self.path}"


@dataclass(frozen=True, slots=True)
class ZooKeeperMaster(ZooKeeperUrl):
    """The leading master of the ZooKeeper group below ``path``."""


@dataclass(frozen=True, slots=True)
class ConsulMaster:
    """The leading instance of a service in Consul."""

    url: str
    """``consul://host:port/service/NAME``."""
    service: str
    consul: ConsulConfig

    def __str__(self) -> str:
        return self.url


MasterLocation = StaticMaster | ZooKeeperMaster | ConsulMaster
"""The value of ``--master``: where the leading master is found."""


def header_value(source: str, value: str) -> str:
    """``value``, if an HTTP header can carry it. ConfigError names ``source``, not the value."""
    if not (value.isascii() and value.isprintable()):
        raise ConfigError(f"{source} contains a character that an HTTP header cannot carry")
    return value
