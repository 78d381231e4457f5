"""From flags to an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from shim import limits
from shim.engine.api import Engine
from shim.engine.client.endpoint import Endpoint, resolve
from shim.engine.docker import DockerEngine
from shim.engine.triton import TritonEngine, is_triton
from shim.engine.triton.login import ClientLogin
from shim.errors import ConfigError


class Wanted(Protocol):
    """The flags that say which endpoint it is, named as they are."""

    @property
    def docker_host(self) -> str: ...
    @property
    def docker_cert_path(self) -> str: ...
    @property
    def docker_tls_verify(self) -> bool | None: ...
    @property
    def engine(self) -> str: ...
    @property
    def max_inflight(self) -> int | None: ...


async def connect(wanted: Wanted, shim_id: str) -> Engine:
    """The engine behind the flags, the environment or the docker context.

    Raises ConfigError naming what cannot be used. Only with ``--engine=auto``, and only an
    endpoint with TLS, is asked what it is: Transient when it does not say.
    """
    endpoint = resolve(wanted.docker_host, wanted.docker_cert_path, wanted.docker_tls_verify)
    asked = wanted.engine == "auto" and endpoint.tls is not None
    if wanted.engine == "triton" or (asked and await is_triton(endpoint)):
        return TritonEngine(endpoint.url, _login(endpoint), shim_id=shim_id)
    inflight = wanted.max_inflight or limits.MAX_INFLIGHT
    connections = max(limits.ENGINE_CONNECTIONS, 2 * inflight)
    return DockerEngine(endpoint, shim_id=shim_id, connections=connections)


def _login(endpoint: Endpoint) -> ClientLogin:
    if not endpoint.certificates:
        raise ConfigError(
            f"{endpoint} is Triton's, which wants a client certificate, and there is none: set "
            "--docker_cert_path to a directory that `mesos-shim certs` made"
        )
    return ClientLogin(Path(endpoint.certificates), verify=endpoint.verified)


def remote_host(wanted: Wanted) -> str:
    """The host of an engine that is reached over TCP; empty for one on this machine."""
    endpoint = resolve(wanted.docker_host, wanted.docker_cert_path, wanted.docker_tls_verify)
    return "" if endpoint.is_local else urlsplit(endpoint.url).hostname or ""
