"""From flags to an engine: which endpoint it is, and whether Docker or Triton answers there."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from shim import limits
from shim.engine.api import Engine
from shim.engine.client.endpoint import Endpoint, resolve
from shim.engine.client.guard import MayAct, always
from shim.engine.client.http_engine import CallObserver
from shim.engine.docker import DockerEngine
from shim.engine.triton import TritonEngine, is_triton
from shim.engine.triton.login import ClientLogin
from shim.errors import ConfigError


class EndpointFlags(Protocol):
    """The flags that name the endpoint. Each attribute is a flag's name."""

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


async def connect(
    flags: EndpointFlags,
    shim_id: str,
    observe_call: CallObserver | None = None,
    may_act: MayAct = always,
) -> Engine:
    """The engine behind the flags, the environment or the docker context.

    ``observe_call`` is called after each engine call. While ``may_act`` is false, no call that
    changes something is sent. Raises ConfigError that names an unusable
    flag. With ``--engine=auto`` an endpoint with TLS is asked for its kind: Transient when it does
    not answer.
    """
    endpoint = resolve(flags.docker_host, flags.docker_cert_path, flags.docker_tls_verify)
    may_be_triton = flags.engine == "auto" and endpoint.tls is not None
    if flags.engine == "triton" or (may_be_triton and await is_triton(endpoint)):
        login = _client_login(endpoint)
        return TritonEngine(
            endpoint.url, login, shim_id=shim_id, observe_call=observe_call, may_act=may_act
        )
    inflight = flags.max_inflight or limits.MAX_INFLIGHT
    connections = max(limits.ENGINE_CONNECTIONS, 2 * inflight)
    return DockerEngine(
        endpoint,
        shim_id=shim_id,
        connections=connections,
        observe_call=observe_call,
        may_act=may_act,
    )


def _client_login(endpoint: Endpoint) -> ClientLogin:
    if not endpoint.certificates:
        raise ConfigError(
            f"{endpoint} is a Triton endpoint, which requires a client certificate: set "
            "--docker_cert_path to a directory that `mesos-shim certs` made"
        )
    return ClientLogin(Path(endpoint.certificates), verify=endpoint.verified)


def remote_host(flags: EndpointFlags) -> str:
    """The host of an engine that is reached over TCP; empty for one on this machine."""
    endpoint = resolve(flags.docker_host, flags.docker_cert_path, flags.docker_tls_verify)
    return "" if endpoint.is_local else urlsplit(endpoint.url).hostname or ""
