"""The host of the engine, as seen by a shim that is itself a container of that engine."""

from __future__ import annotations

import ipaddress
from pathlib import Path

_MARKS = (".dockerenv", "run/.containerenv")
"""Files that engines put into every container."""
_GATEWAY_FLAG = 0x2
"""RTF_GATEWAY of ``linux/route.h``."""


def bridge_gateway(root: Path = Path("/")) -> str | None:
    """The engine's host, when this process is in a container on a bridge network; else None.

    The gateway of a bridge network is an address of the engine's host. Ports that containers
    publish, and containers on the host's network, answer there: from other containers and from the
    host. A container on the host's network, or on macvlan, has another kind of interface.
    ``root`` stands in for ``/`` in tests.
    """
    if not any((root / mark).exists() for mark in _MARKS):
        return None
    route = _default_route(root / "proc/net/route")
    if route is None:
        return None
    interface, gateway = route
    return gateway if _is_veth(root / "sys/class/net" / interface) else None


def _default_route(table: Path) -> tuple[str, str] | None:
    """Interface and gateway; the kernel writes addresses as hexadecimal in host byte order."""
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return None
    for interface, destination, gateway, flags, *_ in rows:
        if int(destination, 16) == 0 and int(flags, 16) & _GATEWAY_FLAG:
            address = ipaddress.IPv4Address(bytes.fromhex(gateway)[::-1])
            return interface, str(address)
    return None


def _is_veth(interface: Path) -> bool:
    """One end of a pair, the other end of which is on the host: no DEVTYPE, another index."""
    try:
        index = (interface / "ifindex").read_text().strip()
        peer = (interface / "iflink").read_text().strip()
        kind = (interface / "uevent").read_text()
    except OSError:
        return False
    return index != peer and "DEVTYPE=" not in kind
