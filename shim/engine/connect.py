"""From flags to an engine."""

from __future__ import annotations

from typing import Protocol

from shim import limits
from shim.engine.api import Engine
from shim.engine.docker import DockerEngine
from shim.engine.endpoint import resolve
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
    """The engine behind the flags, the environment or the docker context; not contacted yet.

    Raises ConfigError naming what cannot be used.
    """
    endpoint = resolve(wanted.docker_host, wanted.docker_cert_path, wanted.docker_tls_verify)
    if wanted.engine == "triton":
        raise ConfigError("--engine: 'triton' is not supported yet; 'auto' and 'docker' are")
    inflight = wanted.max_inflight or limits.MAX_INFLIGHT
    connections = max(limits.ENGINE_CONNECTIONS, 2 * inflight)
    return DockerEngine(endpoint, shim_id=shim_id, connections=connections)
