"""Settings of the agent and its endpoint that decide how a task becomes a container."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shim.model.settings import PortsMode
from shim.protos.mesos_pb2 import ContainerInfo

EngineKind = Literal["docker", "triton"]
Unsupported = Literal["refuse", "warn"]


@dataclass(frozen=True, slots=True)
class Dns:
    """Resolver settings of a container."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DnsDefault:
    """One entry of ``--default_container_dns``."""

    mode: str
    """``BRIDGE`` or ``USER`` for Docker containers, ``CNI`` or ``HOST`` for Mesos containers."""
    network: str
    """The network's name. Empty: every network of the mode."""
    dns: Dns


@dataclass(frozen=True, slots=True)
class MappingSettings:
    """Constant settings of the mapping."""

    shim_id: str
    """Value of the label ``mesos-shim.id``, which marks the containers of one agent."""
    kind: EngineKind = "docker"
    api_version: str = ""
    """The negotiated API version, ``1.41``. Empty: unknown, every option is accepted."""
    sandbox_directory: str = "/mnt/mesos/sandbox"
    default_container_dns: tuple[DnsDefault, ...] = ()
    ports: PortsMode = "none"
    host_memory_mb: int = 0
    """The engine host's memory in MiB, for the OOM score. 0: unknown, no score is set."""
    enable_cfs: bool = False
    triton_unsupported: Unsupported = "refuse"
    volumes_missing: str = ""
    """Why the endpoint has no persistent volumes; empty when it has them."""
    default_network: str = "bridge"
    """The network on Triton of tasks that ask for host or bridge networking."""
    default_container_info: ContainerInfo | None = None
    """``--default_container_info``: of tasks and executors without a container or an image."""
    pod_image: str = ""
    """The image of infra containers."""
    host_address: str = ""
    """The address of containers on the engine host's network. Empty: unknown."""

    @property
    def triton(self) -> bool:
        return self.kind == "triton"

    @property
    def binds_ports(self) -> bool:
        """Whether the engine binds a task's host port on its host."""
        return self.ports == "real" and not self.triton

    def in_sandbox(self, path: str) -> str:
        """The absolute path in the container: a relative ``container_path`` is in the sandbox."""
        return posixpath.join(self.sandbox_directory, path)

    def supports_api(self, version: str) -> bool:
        """Whether the endpoint's API version is at least ``version``. An unknown version is."""
        return not self.api_version or _numbers(self.api_version) >= _numbers(version)


def parse_default_container_dns(text: str) -> tuple[DnsDefault, ...]:
    """Parse the JSON of ``--default_container_dns``. Raises ValueError."""
    try:
        document = json.loads(text)
        return tuple(
            _dns_default(section, entry)
            for section in ("docker", "mesos")
            for entry in document.get(section, [])
        )
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(str(error) or "not a document of the expected form") from None


_MODES: Mapping[str, tuple[str, ...]] = {"docker": ("BRIDGE", "USER"), "mesos": ("CNI", "HOST")}


def _dns_default(section: str, entry: Mapping[str, Any]) -> DnsDefault:
    mode = str(entry.get("network_mode", ""))
    if mode not in _MODES[section]:
        raise ValueError(f"{section}.network_mode {mode!r} is none of {', '.join(_MODES[section])}")
    dns = entry.get("dns", {})
    servers, search, options = (
        _strings(dns, name) for name in ("nameservers", "search", "options")
    )
    return DnsDefault(mode, str(entry.get("network_name", "")), Dns(servers, search, options))


def _strings(dns: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = dns.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"dns.{name} {values!r} is not a list of strings")
    return tuple(values)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
