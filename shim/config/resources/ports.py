"""``--ports``."""

from __future__ import annotations

from typing import Literal, NamedTuple

from shim.config.resources.value_parsers import Ranges, check_spans, parse_ranges

VIRTUAL_PORTS: Ranges = ((1, 65535),)
PortsMode = Literal["none", "virtual", "real"]


class Ports(NamedTuple):
    """What ``--ports`` says: whether tasks' ports mean anything, and those that are offered."""

    mode: PortsMode
    """No ports, numbers that are never bound, or ports that are bound on the engine's host."""
    ranges: Ranges


def parse_ports(text: str) -> Ports:
    """The value of ``--ports``: ``none``, ``virtual`` or ranges within 1-65535."""
    if text in ("none", "virtual"):
        return Ports("virtual", VIRTUAL_PORTS) if text == "virtual" else Ports("none", ())
    if not text.startswith("["):
        raise ValueError(f"{text!r} is not none, virtual or [first-last, ...]")
    spans = parse_ranges(text)
    check_spans("ports", list(spans), 65535)
    if spans[0][0] == 0:
        raise ValueError("there is no port 0")
    return Ports("real", spans)
