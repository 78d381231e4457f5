"""TaskInfos for ``mesos-shim run``: from arguments, and from what an offer has. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Pairs = Sequence[tuple[str, str]]
"""In the order given; a key may be there more than once."""

NETWORKS = {"host": "HOST", "bridge": "BRIDGE", "none": "NONE"}
EPSILON = 1e-6
"""Sums of thousandths as floats: this is nobody's resource."""


@dataclass(frozen=True, slots=True)
class Port:
    """``host:container[/protocol]``."""

    host: int
    container: int
    protocol: str = "tcp"

    @classmethod
    def parse(cls, text: str) -> Port:
        """Raises argparse.ArgumentTypeError naming the text."""
        pair, _, protocol = text.partition("/")
        host, _, container = pair.partition(":")
        try:
            port = cls(int(host), int(container), protocol or "tcp")
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not HOST:CONTAINER[/tcp]") from None
        if not (0 < port.host < 65536 and 0 < port.container < 65536):
            raise argparse.ArgumentTypeError(f"{text!r}: a port is between 1 and 65535")
        if port.protocol not in ("tcp", "udp"):
            raise argparse.ArgumentTypeError(f"{text!r}: the protocol is tcp or udp")
        return port


@dataclass(frozen=True, slots=True)
class Wanted:
    """What each instance is to be."""

    image: str
    name: str
    command: str | None = None
    arguments: Sequence[str] = ()
    cpus: float = 0.1
    mem: float = 64
    env: Pairs = ()
    labels: Pairs = ()
    network: str = "bridge"
    ports: Sequence[Port] = ()
    user: str | None = None
    grace: float | None = None
    """Seconds between the polite and the forced stop."""
    force_pull: bool = False
    parameters: Pairs = ()


class Room:
    """What is left of an offer while tasks are placed on it."""

    def __init__(self, offer: Mapping[str, Any]) -> None:
        self.agent_id: Json = offer["agent_id"]
        self._scalars: dict[str, float] = {}
        self._ports: list[tuple[int, int]] = []
        for resource in offer.get("resources", []):
            self._take_in(resource)
        self._has_ports = bool(self._ports)

    def _take_in(self, resource: Mapping[str, Any]) -> None:
        # Only what is nobody's: a reservation would have to be named in the task.
        if resource.get("role", "*") != "*" or resource.get("reservations"):
            return
        name = resource["name"]
        if resource["type"] == "SCALAR":
            value = resource["scalar"]["value"]
            self._scalars[name] = self._scalars.get(name, 0.0) + value
        elif name == "ports":
            ranges = resource["ranges"]["range"]
            self._ports += [(int(r["begin"]), int(r["end"])) for r in ranges]

    def place(self, wanted: Wanted, task_id: str) -> Json | None:
        """A TaskInfo that fits, or None. Takes what it needs out of the room."""
        enough = (
            self._scalars.get("cpus", 0) + EPSILON >= wanted.cpus
            and self._scalars.get("mem", 0) + EPSILON >= wanted.mem
        )
        if not enough or (self._has_ports and not all(map(self._holds, wanted.ports))):
            return None
        self._scalars["cpus"] -= wanted.cpus
        self._scalars["mem"] -= wanted.mem
        for port in {p.host for p in wanted.ports}:
            self._remove(port)
        return task_info(wanted, task_id, self.agent_id, with_ports=self._has_ports)

    def _holds(self, port: Port) -> bool:
        return any(begin <= port.host <= end for begin, end in self._ports)

    def _remove(self, port: int) -> None:
        cut: list[tuple[int, int]] = []
        for begin, end in self._ports:
            if begin <= port <= end:
                cut += [(begin, port - 1), (port + 1, end)]
            else:
                cut.append((begin, end))
        self._ports = [(begin, end) for begin, end in cut if begin <= end]


def task_info(wanted: Wanted, task_id: str, agent_id: Json, *, with_ports: bool) -> Json:
    """The TaskInfo as v1 JSON.

    Where the agent offers ports they are taken as resources, and mapped; where it has none, the
    engine is asked to publish them by a parameter, which needs no resources.
    """
    resources = [_scalar("cpus", wanted.cpus), _scalar("mem", wanted.mem)]
    parameters = [{"key": key, "value": value} for key, value in wanted.parameters]
    docker: Json = {"image": wanted.image, "force_pull_image": wanted.force_pull}
    if wanted.ports and with_ports:
        resources.append(_ports(wanted.ports))
        docker["port_mappings"] = [
            {"host_port": p.host, "container_port": p.container, "protocol": p.protocol}
            for p in wanted.ports
        ]
    elif wanted.ports:
        parameters += [
            {"key": "publish", "value": f"{p.host}:{p.container}/{p.protocol}"}
            for p in wanted.ports
        ]
    if parameters:
        docker["parameters"] = parameters
    info: Json = {
        "task_id": {"value": task_id},
        "name": wanted.name,
        "agent_id": agent_id,
        "resources": resources,
        "command": _command(wanted),
        "container": _container(wanted, docker),
    }
    if wanted.labels:
        info["labels"] = {"labels": [{"key": k, "value": v} for k, v in wanted.labels]}
    if wanted.grace is not None:
        nanoseconds = round(wanted.grace * 1e9)
        info["kill_policy"] = {"grace_period": {"nanoseconds": nanoseconds}}
    return info


def _container(wanted: Wanted, docker: Json) -> Json:
    container: Json = {"type": "DOCKER", "docker": docker}
    if wanted.network in NETWORKS:
        docker["network"] = NETWORKS[wanted.network]
    else:
        docker["network"] = "USER"
        container["network_infos"] = [{"name": wanted.network}]
    return container


def _command(wanted: Wanted) -> Json:
    command: Json = {"shell": wanted.command is not None}
    if wanted.command is not None:
        command["value"] = wanted.command
    if wanted.arguments:
        command["arguments"] = list(wanted.arguments)
    if wanted.user is not None:
        command["user"] = wanted.user
    if wanted.env:
        variables = [{"name": name, "value": value} for name, value in wanted.env]
        command["environment"] = {"variables": variables}
    return command


def _scalar(name: str, value: float) -> Json:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}}


def _ports(ports: Sequence[Port]) -> Json:
    numbers = sorted({port.host for port in ports})
    ranges = [{"begin": number, "end": number} for number in numbers]
    return {"name": "ports", "type": "RANGES", "ranges": {"range": ranges}}
