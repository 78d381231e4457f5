"""Ports as ``docker run --publish`` and ``--expose`` write them.

Every parser raises ValueError with a reason that can be shown to a user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shim.engine.mapping.values import scalars

PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """One container port and where the engine's host publishes it."""

    port: str
    """Container port and protocol: ``80/tcp``."""
    host_ip: str
    """Empty: every address of the host."""
    host_port: str
    """A port, or a range that the engine chooses from. Empty or ``0``: any free port."""


def port_range(text: str) -> range:
    """Parse ``80`` or ``8000-8010``, within 1..65535."""
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
    if not match:
        raise ValueError("Not a port or a range of ports (like 80 or 8000-8010)")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= 65535:
        raise ValueError("Ports must be in 1..65535, the smaller first")
    return range(first, last + 1)


def protocol(text: str) -> str:
    """Return ``tcp``, ``udp`` or ``sctp`` in lower case. The empty text means tcp."""
    word = text.lower() or "tcp"
    if word not in PROTOCOLS:
        raise ValueError("Not a protocol (tcp, udp or sctp)")
    return word


def publish(text: str) -> list[PublishedPort]:
    """Parse ``[ip:][hostPort]:containerPort[/proto]`` or ``published=,target=,protocol=``.

    Both ports may be ranges: one result for each container port.
    """
    if "=" in text:
        return _publish_long(text)
    head, _, proto = text.partition("/")
    rest, _, target = head.rpartition(":")
    host_ip, published = _split_ip(rest)
    return list(_published_ports(host_ip, published, target, protocol(proto)))


def expose(text: str) -> dict[str, dict[str, Any]]:
    """Parse ``80``, ``80/udp`` or ``8000-8010/tcp`` into ``ExposedPorts``."""
    ports, _, proto = text.partition("/")
    name = protocol(proto)
    return {f"{port}/{name}": {} for port in port_range(ports)}


def _publish_long(text: str) -> list[PublishedPort]:
    values = {"published": "", "target": "", "protocol": "", "mode": ""}
    for field in scalars.csv_fields(text):
        key, _, value = field.partition("=")
        if key not in values:
            raise ValueError(f"Unknown key {key!r} of a published port")
        values[key] = value
    if values["mode"] not in ("", "ingress", "host"):
        raise ValueError("Not a publish mode (ingress or host)")
    return list(
        _published_ports("", values["published"], values["target"], protocol(values["protocol"]))
    )


def _split_ip(text: str) -> tuple[str, str]:
    """Split ``ip:port``, ``[ip6]:port``, ``ip:`` or ``port`` into address and port."""
    ip, colon, port = text.rpartition(":")
    if not colon:
        return "", port
    ip = ip.removeprefix("[").removesuffix("]")
    return scalars.address(ip), port


def _published_ports(
    host_ip: str, published: str, target: str, proto: str
) -> Iterator[PublishedPort]:
    targets = port_range(target)
    sources = port_range(published) if published and published != "0" else None
    if sources is None:
        host_ports = [published] * len(targets)
    elif len(sources) == len(targets):
        host_ports = [str(port) for port in sources]
    elif len(targets) == 1:
        host_ports = [published]
    else:
        raise ValueError("The ranges of host and container ports differ in length")
    for port, host_port in zip(targets, host_ports, strict=True):
        yield PublishedPort(f"{port}/{proto}", host_ip, host_port)
