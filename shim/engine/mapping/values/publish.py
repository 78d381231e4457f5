"""Ports as the Docker command line publishes and exposes them. ValueError with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shim.engine.mapping.values import units


@dataclass(frozen=True, slots=True)
class Publish:
    """One port to be published."""

    port: str
    """``80/tcp``"""
    host_ip: str
    host_port: str
    """Empty: the engine chooses."""


def publish(text: str) -> list[Publish]:
    """``[ip:][hostPort]:containerPort[/proto]``, with ranges, or ``published=,target=,...``."""
    if "=" in text:
        return _publish_long(text)
    head, _, protocol = text.partition("/")
    rest, _, target = head.rpartition(":")
    host_ip, published = _split_ip(rest)
    return list(_publications(host_ip, published, target, units.protocol(protocol)))


def expose(text: str) -> dict[str, dict[str, Any]]:
    """``p``, ``p/proto``, ``a-b/proto`` as ExposedPorts."""
    ports, _, protocol = text.partition("/")
    word = units.protocol(protocol)
    return {f"{port}/{word}": {} for port in units.port_range(ports)}


def _publish_long(text: str) -> list[Publish]:
    values = {"published": "", "target": "", "protocol": "", "mode": ""}
    for field in units.fields(text):
        key, _, value = field.partition("=")
        if key not in values:
            raise ValueError(f"Unknown key {key!r} of a published port")
        values[key] = value
    if values["mode"] not in ("", "ingress", "host"):
        raise ValueError("Not a publish mode (ingress or host)")
    protocol = units.protocol(values["protocol"])
    return list(_publications("", values["published"], values["target"], protocol))


def _split_ip(text: str) -> tuple[str, str]:
    """``ip:port``, ``[ip6]:port``, ``ip:`` or ``port``: in short publications."""
    ip, colon, port = text.rpartition(":")
    if not colon:
        return "", port
    ip = ip.removeprefix("[").removesuffix("]")
    return units.address(ip), port


def _publications(host_ip: str, published: str, target: str, protocol: str) -> Iterator[Publish]:
    targets = units.port_range(target)
    sources = units.port_range(published) if published and published != "0" else None
    if sources is None:
        host_ports = [published] * len(targets)
    elif len(sources) == len(targets):
        host_ports = [str(port) for port in sources]
    elif len(targets) == 1:
        host_ports = [published]
    else:
        raise ValueError("The ranges of host and container ports differ in length")
    for port, host_port in zip(targets, host_ports, strict=True):
        yield Publish(f"{port}/{protocol}", host_ip, host_port)
