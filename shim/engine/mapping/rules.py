"""What the mapping has to know about the agent and its endpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["docker", "triton"]
PortsMode = Literal["none", "virtual", "real"]
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
    """``BRIDGE`` or ``USER`` for Docker containers, ``CNI`` or ``HOST`` for Mesos' own."""
    network: str
    """The network it is for; empty: any of that mode."""
    dns: Dns


@dataclass(frozen=True, slots=True)
class Rules:
    """The agent's settings that decide how a task becomes a container; constant."""

    shim_id: str
    """Goes into the owner label: whose containers these are."""
    kind: Kind = "docker"
    api_version: str = ""
    """The API version spoken, ``1.41``; empty: unknown, nothing is refused for its age."""
    sandbox_directory: str = "/mnt/mesos/sandbox"
    default_container_dns: tuple[DnsDefault, ...] = ()
    ports: PortsMode = "none"
    """What the ``ports`` resource means: there is none, numbers only, or ports to be bound."""
    host_memory_mb: int = 0
    """The engine host's memory in MiB, for the OOM score; 0: unknown, no score is set."""
    enable_cfs: bool = False
    triton_unsupported: Unsupported = "refuse"
    default_network: str = "bridge"
    """On Triton: what host and bridge networking become."""

    @property
    def triton(self) -> bool:
        return self.kind == "triton"

    @property
    def binds_ports(self) -> bool:
        """Whether a task's host port is really taken on the engine's host."""
        return self.ports == "real" and not self.triton

    def speaks(self, version: str) -> bool:
        """Whether the endpoint's API is at least ``version``, or unknown."""
        return not self.api_version or _numbers(self.api_version) >= _numbers(version)


def parse_default_container_dns(text: str) -> tuple[DnsDefault, ...]:
    """The JSON of ``--default_container_dns``. ValueError says what is wrong with it."""
    try:
        document = json.loads(text)
        return tuple(
            _dns_default(section, entry)
            for section in ("docker", "mesos")
            for entry in document.get(section, [])
        )
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(str(error) or "not such a document") from None


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
