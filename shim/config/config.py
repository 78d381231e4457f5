"""The agent's configuration: typed and immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from shim.config.resources import Ports
from shim.engine.images.credentials import DockerConfig
from shim.engine.mapping.mapping_settings import DnsDefault, Unsupported
from shim.model.settings import (
    ConsulConfig,
    Credential,
    MasterLocation,
    TlsSettings,
    TritonPods,
    ZooKeeperUrl,
)
from shim.protos.mesos_pb2 import Attribute, ContainerInfo, DomainInfo, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All flags under their own names. Times in seconds, sizes in bytes.

    An unset flag is None or an empty text. ``repr`` shows no secret.
    """

    master: MasterLocation
    ip: str
    port: int
    advertise_ip: str
    advertise_port: int | None
    hostname: str
    hostname_lookup: bool
    registration_backoff_factor: float
    authentication_backoff_factor: float
    credential: Credential | None = field(repr=False)
    require_peer_address_ip_match: bool
    """``LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH`` of the environment, as in Mesos: messages
    whose sender's pid has another IP address than their connection are rejected."""
    tls: TlsSettings | None
    """``LIBPROCESS_SSL_*`` of the environment, as in Mesos: links and pages over TLS."""

    resources: tuple[Resource, ...]
    """As given, without ports. The endpoint completes what is not given."""
    ports: Ports
    attributes: tuple[Attribute, ...]
    default_role: str
    domain: DomainInfo | None

    work_dir: Path
    journal: ZooKeeperUrl | None
    """None: SQLite, below ``work_dir``."""
    zk_session_timeout: float
    failover_command: str
    recover: Literal["reconnect", "cleanup"]
    executor_registration_timeout: float
    executor_shutdown_grace_period: float
    executor_reregistration_timeout: float
    executor_environment_variables: Mapping[str, str] = field(repr=False)
    """They may hold a password."""

    docker_host: str
    docker_cert_path: str
    docker_tls_verify: bool | None
    engine: Literal["auto", "docker", "triton"]
    max_inflight: int | None
    docker_config: DockerConfig | None = field(repr=False)
    docker_stop_timeout: float
    docker_remove_delay: float
    docker_kill_orphans: bool
    shim_id: str
    sandbox_directory: str
    default_container_dns: tuple[DnsDefault, ...]
    default_container_info: ContainerInfo | None
    pod_image: str
    """Empty: the agent's own image."""
    cgroups_enable_cfs: bool
    volume_driver: str
    volume_driver_options: Mapping[str, str] = field(repr=False)
    """They may hold a password, as of a CIFS share."""
    fetcher_cache_size: int
    fetcher_cache_dir: Path
    fetcher_file_root: Path | None

    triton_unsupported: Unsupported
    triton_pods: TritonPods
    triton_prices: Mapping[str, float]
    """Price per hour by package; empty when no prices are known."""

    discovery: ConsulConfig | None
    """``--consul`` and its related flags and variables."""

    http_credentials: Mapping[str, str] = field(repr=False)
    """Principal -> secret."""
    authenticate_http_readonly: bool
    authenticate_http_readwrite: bool
    authenticate_http_executors: bool
    jwt_secret_key: bytes | None = field(repr=False)
    unsafe_exec: bool
    metrics_max_tasks: int
    log_level: str
    log_format: Literal["text", "json"]

    notes: tuple[str, ...]
    """Lines for the log about the interpretation of the flags."""
    texts: Mapping[str, str]
    """Every flag that is set, as text, for ``/flags``, without secrets."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear in the log."""
        found = [*self.http_credentials.values()]
        if self.credential is not None:
            found.append(self.credential.secret.decode())
        urls = [url for url in (self.master, self.journal) if isinstance(url, ZooKeeperUrl)]
        found += [_password(url.credentials) for url in urls if url.credentials]
        if self.discovery is not None:
            found += [self.discovery.token, _password(self.discovery.auth)]
        if self.docker_config is not None:
            for auth in self.docker_config.auths.values():
                found += [auth.password, auth.identity_token]
        return tuple(filter(None, found))


def _password(pair: str) -> str:
    """The password of ``user:password``."""
    return pair.partition(":")[2]
