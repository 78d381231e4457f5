"""The address on which the agent listens, and the one that it registers with."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from shim.config.config import Config
from shim.errors import ConfigError
from shim.model.settings import MasterLocation, StaticMaster

ANY = "0.0.0.0"
_DEFAULT_ROUTE = ("192.0.2.1", 9)
"""An address reserved for documentation: its route is the default route."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """All IPv4."""

    bind_ip: str
    """``0.0.0.0`` means all interfaces."""
    port: int
    """0: the system chooses a port, which is then advertised."""
    advertise_ip: str
    advertise_port: int | None
    """None: the port on which the agent listens."""
    hostname: str


def find_addresses(config: Config) -> Addresses:
    """Looks up names and routes, so it may block for as long as DNS does.

    Raises ConfigError when the master cannot reach the advertised address.
    """
    master = _resolve(config.master)
    advertised = config.advertise_ip or _unless_any(config.ip) or _source(master)
    _check_reachable(config, advertised, master)
    return Addresses(
        config.ip or ANY,
        config.port,
        advertised,
        config.advertise_port,
        config.hostname or _hostname(config, advertised),
    )


def source_address(peer: tuple[str, int]) -> str | None:
    """This host's address on the route to ``peer``; None without a route. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(peer)
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _resolve(master: MasterLocation) -> str | None:
    """A fixed master's address; None for a detected master or an unknown name."""
    if not isinstance(master, StaticMaster):
        return None
    try:
        return str(socket.getaddrinfo(master.host, master.port, socket.AF_INET)[0][4][0])
    except (OSError, UnicodeError):
        return None


def _unless_any(ip: str) -> str:
    return "" if ip == ANY else ip


def _source(master: str | None) -> str:
    """This host's address on the route to the master; without a fixed one, on the default route."""
    found = source_address((master, 9) if master else _DEFAULT_ROUTE)
    return found or source_address(_DEFAULT_ROUTE) or "127.0.0.1"


def _check_reachable(config: Config, advertised: str, master: str | None) -> None:
    flag = "--advertise_ip" if config.advertise_ip else "--ip"
    if advertised == ANY:
        raise ConfigError(f"{flag}={advertised}: not a reachable address; give --advertise_ip")
    if master and _is_loopback(advertised) and not _is_loopback(master):
        raise ConfigError(
            f"{flag}={advertised}: the master at {master} cannot reach a loopback address; "
            "give --advertise_ip one that it can"
        )


def _is_loopback(ip: str) -> bool:
    return ipaddress.IPv4Address(ip).is_loopback


def _hostname(config: Config, advertised: str) -> str:
    """As mesos-agent: the DNS name of the address, else the address."""
    if not config.hostname_lookup:
        return advertised
    try:
        return socket.gethostbyaddr(advertised)[0]
    except OSError:
        return advertised
