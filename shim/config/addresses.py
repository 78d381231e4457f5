"""Where the agent listens, and the address it tells a master: decided once, before registering."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from shim.config.config import Config
from shim.errors import ConfigError
from shim.model.settings import Master, StaticMaster

ANY = "0.0.0.0"
_SOMEWHERE = ("192.0.2.1", 9)
"""An address kept for documentation: a route to it is the route to the world."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """All IPv4."""

    bind_ip: str
    """``0.0.0.0`` listens on all."""
    port: int
    """0: the system chooses, and that port is advertised."""
    advertise_ip: str
    advertise_port: int | None
    """None: the port that is listened on."""
    hostname: str


def find_addresses(config: Config) -> Addresses:
    """Looks up names and routes, so it may block for as long as DNS does.

    Raises ConfigError when the address advertised is one that the master cannot reach.
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
    """Our own address on the way to ``peer``; None without a route. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(peer)
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _resolve(master: Master) -> str | None:
    """The master's address; None when it is found elsewhere, or its name is not known yet."""
    if not isinstance(master, StaticMaster):
        return None
    try:
        return str(socket.getaddrinfo(master.host, master.port, socket.AF_INET)[0][4][0])
    except (OSError, UnicodeError):
        return None


def _unless_any(ip: str) -> str:
    return "" if ip == ANY else ip


def _source(master: str | None) -> str:
    """Without a known master (or with one on ZooKeeper's word) our address towards the world."""
    found = source_address((master, 9) if master else _SOMEWHERE)
    return found or source_address(_SOMEWHERE) or "127.0.0.1"


def _check_reachable(config: Config, advertised: str, master: str | None) -> None:
    flag = "--advertise_ip" if config.advertise_ip else "--ip"
    if advertised == ANY:
        raise ConfigError(f"{flag}={advertised}: nobody can reach that; give --advertise_ip")
    if master and _is_loopback(advertised) and not _is_loopback(master):
        raise ConfigError(
            f"{flag}={advertised}: the master at {master} cannot reach our loopback address; "
            "give --advertise_ip one that it can"
        )


def _is_loopback(ip: str) -> bool:
    return ipaddress.IPv4Address(ip).is_loopback


def _hostname(config: Config, advertised: str) -> str:
    """As mesos-agent: the name DNS has for the address, else the address."""
    if not config.hostname_lookup:
        return advertised
    try:
        return socket.gethostbyaddr(advertised)[0]
    except OSError:
        return advertised
