"""Turns Docker's JSON into :class:`~shim.model.container.Container` and ``Volume``. Pure."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import stat
from collections.abc import Iterable, Mapping
from typing import Any

from shim.model.container import Container, ContainerPort, Phase
from shim.model.json_text import load_json
from shim.model.volume import Volume

_PHASES = {
    "created": Phase.CREATED,
    "running": Phase.RUNNING,
    "paused": Phase.RUNNING,
    "restarting": Phase.RUNNING,
    "removing": Phase.EXITED,
    "exited": Phase.EXITED,
    "dead": Phase.EXITED,
}
"""By ``State.Status``. A paused process exists; a restarting one will exist again."""

_EXITED = re.compile(r"Exited \((-?\d+)\)")

_GO_MODE_BITS = {1 << 23: stat.S_ISUID, 1 << 22: stat.S_ISGID, 1 << 20: stat.S_ISVTX}
"""Those of Go's ``fs.FileMode`` that are elsewhere in a Unix mode."""

_NEVER = "0001-01-01T00:00:00Z"


def from_inspect(raw: bytes) -> Container:
    """From the answer of ``GET /containers/{name}/json``. ValueError for anything else."""
    data = load_json(raw)
    try:
        state, name, identity = data["State"], data["Name"], data["Id"]
        phase = _phase(state)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a container's description: {error!r} is missing") from None
    ended = phase is Phase.EXITED
    return Container(
        name=name.removeprefix("/"),
        id=identity,
        phase=phase,
        labels=(data.get("Config") or {}).get("Labels") or {},
        exit_code=state.get("ExitCode") if ended else None,
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        addresses=addresses(data),
        ports=inspected_ports(data),
        inspect=b"[" + raw.strip() + b"]",
    )


def from_list(entry: Mapping[str, Any]) -> Container:
    """From one entry of ``GET /containers/json``, which has fewer fields than an inspect."""
    status = entry.get("Status") or ""
    ended = _EXITED.match(status)
    phase = _PHASES.get(entry.get("State") or "", Phase.PROVISIONING)
    names = entry.get("Names") or [""]
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    return Container(
        # Links add names with a second slash; the container's own name has one.
        name=min(names, key=lambda name: name.count("/")).removeprefix("/"),
        id=entry["Id"],
        phase=phase,
        labels=entry.get("Labels") or {},
        exit_code=int(ended[1]) if ended and phase is Phase.EXITED else None,
        addresses=_preferred(networks.values()),
        ports=listed_ports(entry),
    )


def volume(entry: Mapping[str, Any]) -> Volume:
    """From the description of one volume, in a list or in the answer of its create."""
    return Volume(entry["Name"], entry.get("Labels") or {}, entry.get("Driver") or "")


def path_mode(header: str) -> int:
    """The mode of a file, from the header ``X-Docker-Container-Path-Stat``. ValueError."""
    mode = int(json.loads(base64.b64decode(header))["mode"])
    return mode & 0o777 | sum(bit for go, bit in _GO_MODE_BITS.items() if mode & go)


def _phase(state: Mapping[str, Any]) -> Phase:
    """By ``Status``; engines before 1.9 have only ``Running`` and ``StartedAt``."""
    status = state.get("Status")
    if status in _PHASES:
        return _PHASES[status]
    if state["Running"]:
        return Phase.RUNNING
    started = state.get("StartedAt") or _NEVER
    return Phase.CREATED if started == _NEVER else Phase.EXITED


def addresses(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The container's own addresses, IPv4 first; none on its host's network.

    Those on the network that it was created with. Where ``NetworkMode`` is no network's name (but
    an id, or ``default``): the top level's, else the first network's, private before public.
    """
    settings = data.get("NetworkSettings") or {}
    networks = settings.get("Networks") or {}
    mode = (data.get("HostConfig") or {}).get("NetworkMode") or ""
    if mode in networks:
        return _addresses_on(networks[mode])
    return _addresses_on(settings) or _preferred(networks.values())


def inspected_ports(data: Mapping[str, Any]) -> tuple[ContainerPort, ...]:
    """The ports in an inspect. Entries that are none are left out."""
    found = []
    for text, bindings in ((data.get("NetworkSettings") or {}).get("Ports") or {}).items():
        number, _, protocol = text.partition("/")
        if number.isdecimal():
            hosts = [str(binding.get("HostPort")) for binding in bindings or ()]
            host = next((int(each) for each in hosts if each.isdecimal()), 0)
            found.append(ContainerPort(int(number), protocol or "tcp", host or None))
    return tuple(found)


def listed_ports(entry: Mapping[str, Any]) -> tuple[ContainerPort, ...]:
    """The ports in an entry of a list, which names a port once for each address of the host."""
    found: dict[tuple[int, str], ContainerPort] = {}
    for port in entry.get("Ports") or ():
        number, protocol = port.get("PrivatePort"), port.get("Type") or "tcp"
        if isinstance(number, int):
            listed = ContainerPort(number, protocol, port.get("PublicPort") or None)
            found.setdefault((number, protocol), listed)
    return tuple(found.values())


def _addresses_on(network: Mapping[str, Any]) -> tuple[str, ...]:
    found = (network.get("IPAddress"), network.get("GlobalIPv6Address"))
    return tuple(address for address in found if address)


def _preferred(networks: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    having = [found for network in networks if (found := _addresses_on(network))]
    if len(having) > 1:  # parsing is slow, and a list may have 10,000 entries
        having.sort(key=_is_public)
    return having[0] if having else ()


def _is_public(found: tuple[str, ...]) -> bool:
    try:
        return not ipaddress.ip_address(found[0]).is_private
    except ValueError:
        return True
