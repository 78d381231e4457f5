"""The ports on which a task listens, as its TaskInfo declares them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shim.protos.mesos_pb2 import ContainerInfo, Labels, Port, TaskInfo

SCOPE = "network-scope"
"""Marathon's label on a discovery port: the number is a ``host`` or a ``container`` port."""


@dataclass(frozen=True, slots=True)
class TaskPort:
    """One port of a task."""

    container: int
    host: int | None
    """The port on the engine's host; None when the port is not published there."""
    name: str = ""
    protocol: str = "tcp"
    labels: Mapping[str, str] = field(default_factory=dict)


def task_ports(task: TaskInfo) -> tuple[TaskPort, ...]:
    """The ports of DiscoveryInfo, then further mapped ports; else the ``ports`` resource.

    Ports of the same protocol and container port are given once.
    """
    mappings = _mappings(task)
    own_network = _has_own_network(task)
    named = [_discovery_port(port, mappings, own_network) for port in task.discovery.ports.ports]
    mapped = [
        TaskPort(m.container_port, m.host_port, protocol=_protocol(m.protocol)) for m in mappings
    ]
    found = [*named, *mapped] or [TaskPort(number, number) for number in _port_resources(task)]
    unique: dict[tuple[int, str], TaskPort] = {}
    for port in found:
        unique.setdefault((port.container, port.protocol), port)
    return tuple(unique.values())


def labels_of(labels: Labels) -> dict[str, str]:
    """Labels as a dict. The last label of a key counts."""
    return {label.key: label.value for label in labels.labels}


def _has_own_network(task: TaskInfo) -> bool:
    """Whether the container has its own network, so that host and container ports differ."""
    networks = (ContainerInfo.DockerInfo.BRIDGE, ContainerInfo.DockerInfo.USER)
    return task.container.HasField("docker") and task.container.docker.network in networks


def _mappings(task: TaskInfo) -> list[ContainerInfo.DockerInfo.PortMapping]:
    return list(task.container.docker.port_mappings) if _has_own_network(task) else []


def _discovery_port(
    port: Port,
    mappings: list[ContainerInfo.DockerInfo.PortMapping],
    own_network: bool,
) -> TaskPort:
    labels, protocol = labels_of(port.labels), _protocol(port.protocol)
    mapping = _mapping_of(port.number, protocol, labels.get(SCOPE) == "container", mappings)
    if mapping is not None:
        return TaskPort(mapping.container_port, mapping.host_port, port.name, protocol, labels)
    host = None if own_network else port.number
    return TaskPort(port.number, host, port.name, protocol, labels)


def _mapping_of(
    number: int,
    protocol: str,
    container_scope: bool,
    mappings: list[ContainerInfo.DockerInfo.PortMapping],
) -> ContainerInfo.DockerInfo.PortMapping | None:
    """The mapping of a discovery port: by host port, unless its scope is the container."""
    candidates = [m for m in mappings if _protocol(m.protocol) == protocol]
    by_host = [m for m in candidates if m.host_port == number]
    by_container = [m for m in candidates if m.container_port == number]
    ordered = by_container + by_host if container_scope else by_host + by_container
    return ordered[0] if ordered else None


def _protocol(text: str) -> str:
    """The first protocol of Marathon's ``udp,tcp``; TCP when the text is empty."""
    return text.partition(",")[0].strip().lower() or "tcp"


def _port_resources(task: TaskInfo) -> Iterator[int]:
    for resource in task.resources:
        if resource.name == "ports":
            for span in resource.ranges.range:
                yield from range(span.begin, span.end + 1)
