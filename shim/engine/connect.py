"""From flags to an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from shim import limits
from shim.engine.api import Engine
from shim.engine.docker import DockerEngine
from shim.engine.endpoint import resolve
from shim.engine.triton import TritonEngine, is_triton
from shim.engine.triton.login import Login
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
    endpoint that knows us by a certificate, is asked what it is: Transient when it does not say.
    """
    endpoint = resolve(wanted.docker_host, wanted.docker_cert_path, wanted.docker_tls_verify)
    if wanted.engine == "triton" and not endpoint.certificates:
        raise ConfigError(
            f"--engine=triton: {endpoint} is used without a client certificate, which Triton "
            "wants: set --docker_cert_path to a directory that `mesos-shim certs` made"
        )
    if wanted.engine != "docker" and endpoint.certificates:
        login = Login(Path(endpoint.certificates), verify=endpoint.verified)
        if wanted.engine == "triton" or await is_triton(endpoint.url, login):
            return TritonEngine(endpoint.url, login, shim_id=shim_id)
    inflight = wanted.max_inflight or limits.MAX_INFLIGHT
    connections = max(limits.ENGINE_CONNECTIONS, 2 * inflight)
    return DockerEngine(endpoint, shim_id=shim_id, connections=connections)


def remote_host(wanted: Wanted) -> str:
    """The host of an engine that is reached over TCP; empty for one on this machine."""
    endpoint = resolve(wanted.docker_host, wanted.docker_cert_path, wanted.docker_tls_verify)
    return "" if endpoint.is_local else urlsplit(endpoint.url).hostname or ""
