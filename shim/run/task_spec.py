"""TaskInfos of ``mesos-shim run``, from the arguments and the resources of an offer. Pure."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Pairs = Sequence[tuple[str, str]]
"""Pairs in the given order. A key may occur more than once."""

NETWORKS = {"host": "HOST", "bridge": "BRIDGE", "none": "NONE"}
EPSILON = 1e-6
"""Tolerance for sums of thousandths as floats; smaller than any resource."""


_AGENT_LABELS = ("org.apache.mesos.", "mesos-shim.")
"""Prefixes of the labels that agents give their containers."""
_ID_PART_BYTES = 200
"""The most bytes of a name in a task id. Mesos' ids have at most 255 bytes."""


def id_part(name: str) -> str:
    """``name`` as the first part of a task id; ``run`` when nothing of it is left.

    Mesos accepts no slashes, backslashes and control characters in an id. They, and other
    punctuation and white space, become dashes: ``/team/web`` -> ``team-web``.
    """
    part = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    return part.encode(errors="ignore")[:_ID_PART_BYTES].decode(errors="ignore") or "run"


@dataclass(frozen=True, slots=True)
class PortMapping:
    """``host:container[/protocol]``."""

    host: int
    container: int
    protocol: str = "tcp"

    @classmethod
    def parse(cls, text: str) -> PortMapping:
        """Raises argparse.ArgumentTypeError with the text."""
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
class TaskSpec:
    """The task that each instance runs."""

    image: str
    name: str
    command: str | None = None
    arguments: Sequence[str] = ()
    cpus: float = 0.1
    mem: float = 64
    env: Pairs = ()
    labels: Pairs = ()
    network: str = "bridge"
    ports: Sequence[PortMapping] = ()
    user: str | None = None
    grace: float | None = None
    """Seconds between the first signal and SIGKILL."""
    force_pull: bool = False
    parameters: Pairs = ()


class OfferedResources:
    """The resources of an offer that are left while tasks are placed on it."""

    def __init__(self, offer: Mapping[str, Any]) -> None:
        self.agent_id: Json = offer["agent_id"]
        self._scalars: dict[str, float] = {}
        self._ports: list[tuple[int, int]] = []
        for resource in offer.get("resources", []):
            self._add(resource)
        self._has_ports = bool(self._ports)

    def _add(self, resource: Mapping[str, Any]) -> None:
        # Unreserved resources only: a task has to name the reservation of a reserved one.
        if resource.get("role", "*") != "*" or resource.get("reservations"):
            return
        name = resource["name"]
        if resource["type"] == "SCALAR":
            value = resource["scalar"]["value"]
            self._scalars[name] = self._scalars.get(name, 0.0) + value
        elif name == "ports":
            ranges = resource["ranges"]["range"]
            self._ports += [(int(r["begin"]), int(r["end"])) for r in ranges]

    def place(self, spec: TaskSpec, task_id: str) -> Json | None:
        """A TaskInfo, with its resources subtracted from the offer; None if they do not suffice."""
        enough = (
            self._scalars.get("cpus", 0) + EPSILON >= spec.cpus
            and self._scalars.get("mem", 0) + EPSILON >= spec.mem
        )
        if not enough or (self._has_ports and not all(map(self._holds, spec.ports))):
            return None
        self._scalars["cpus"] -= spec.cpus
        self._scalars["mem"] -= spec.mem
        for port in {p.host for p in spec.ports}:
            self._remove(port)
        return task_info(spec, task_id, self.agent_id, with_ports=self._has_ports)

    def _holds(self, port: PortMapping) -> bool:
        return any(begin <= port.host <= end for begin, end in self._ports)

    def _remove(self, port: int) -> None:
        cut: list[tuple[int, int]] = []
        for begin, end in self._ports:
            if begin <= port <= end:
                cut += [(begin, port - 1), (port + 1, end)]
            else:
                cut.append((begin, end))
        self._ports = [(begin, end) for begin, end in cut if begin <= end]


def task_info(spec: TaskSpec, task_id: str, agent_id: Json, *, with_ports: bool) -> Json:
    """The TaskInfo as v1 JSON.

    When the agent offers ports, the task takes them as resources and maps them. Otherwise a docker
    parameter ``publish`` asks the engine to publish them, which needs no resources.
    """
    resources = [_scalar("cpus", spec.cpus), _scalar("mem", spec.mem)]
    parameters = _label_parameters(spec.labels)
    parameters += [{"key": key, "value": value} for key, value in spec.parameters]
    if spec.user is not None:
        # An agent runs a Docker container as the image's user and ignores CommandInfo.user.
        parameters.append({"key": "user", "value": spec.user})
    docker: Json = {"image": spec.image, "force_pull_image": spec.force_pull}
    if spec.ports and with_ports:
        resources.append(_ports(spec.ports))
        docker["port_mappings"] = [
            {"host_port": p.host, "container_port": p.container, "protocol": p.protocol}
            for p in spec.ports
        ]
    elif spec.ports:
        parameters += [
            {"key": "publish", "value": f"{p.host}:{p.container}/{p.protocol}"} for p in spec.ports
        ]
    if parameters:
        docker["parameters"] = parameters
    info: Json = {
        "task_id": {"value": task_id},
        "name": spec.name,
        "agent_id": agent_id,
        "resources": resources,
        "command": _command(spec),
        "container": _container(spec, docker),
    }
    if spec.labels:
        info["labels"] = {"labels": [{"key": k, "value": v} for k, v in spec.labels]}
    if spec.grace is not None:
        nanoseconds = round(spec.grace * 1e9)
        info["kill_policy"] = {"grace_period": {"nanoseconds": nanoseconds}}
    return info


def _label_parameters(labels: Pairs) -> list[Json]:
    """An agent gives a Docker container none of the task's labels; it takes them as parameters.

    It refuses those that it sets itself.
    """
    given = [(key, value) for key, value in labels if not key.startswith(_AGENT_LABELS)]
    return [{"key": "label", "value": f"{key}={value}"} for key, value in given]


def _container(spec: TaskSpec, docker: Json) -> Json:
    container: Json = {"type": "DOCKER", "docker": docker}
    if spec.network in NETWORKS:
        docker["network"] = NETWORKS[spec.network]
    else:
        docker["network"] = "USER"
        container["network_infos"] = [{"name": spec.network}]
    return container


def _command(spec: TaskSpec) -> Json:
    command: Json = {"shell": spec.command is not None}
    if spec.command is not None:
        command["value"] = spec.command
    if spec.arguments:
        command["arguments"] = list(spec.arguments)
    if spec.env:
        variables = [{"name": name, "value": value} for name, value in spec.env]
        command["environment"] = {"variables": variables}
    return command


def _scalar(name: str, value: float) -> Json:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}}


def _ports(ports: Sequence[PortMapping]) -> Json:
    numbers = sorted({port.host for port in ports})
    ranges = [{"begin": number, "end": number} for number in numbers]
    return {"name": "ports", "type": "RANGES", "ranges": {"range": ranges}}
