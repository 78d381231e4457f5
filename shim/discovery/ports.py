"""Where a task listens, as far as its TaskInfo tells. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shim.protos.mesos_pb2 import ContainerInfo, Labels, TaskInfo
from shim.protos.mesos_pb2 import Port as DiscoveryPort

SCOPE = "network-scope"
"""Marathon's label on a discovery port: its number is meant on the ``host`` or ``container``."""


@dataclass(frozen=True, slots=True)
class Port:
    """One port a task serves on, seen from both sides."""

    container: int
    host: int | None
    """None: not reachable through the engine's host."""
    name: str = ""
    protocol: str = "tcp"
    labels: Mapping[str, str] = field(default_factory=dict)


def task_ports(task: TaskInfo) -> tuple[Port, ...]:
    """Ports that DiscoveryInfo names first, then further mapped ones; else the ``ports`` resource.

    A port number that appears twice (same protocol, same number inside) is given once.
    """
    mappings = _mappings(task)
    own_network = _own_network(task)
    named = [_named(port, mappings, own_network) for port in task.discovery.ports.ports]
    mapped = [Port(m.container_port, m.host_port, protocol=_protocol(m.protocol)) for m in mappings]
    found = [*named, *mapped] or [Port(number, number) for number in _offered(task)]
    unique: dict[tuple[int, str], Port] = {}
    for port in found:
        unique.setdefault((port.container, port.protocol), port)
    return tuple(unique.values())


def labels_of(labels: Labels) -> dict[str, str]:
    """A later label of the same key wins."""
    return {label.key: label.value for label in labels.labels}


def _own_network(task: TaskInfo) -> bool:
    """Whether the task asked for a network of its own, so that port numbers differ by side."""
    networks = (ContainerInfo.DockerInfo.BRIDGE, ContainerInfo.DockerInfo.USER)
    return task.container.HasField("docker") and task.container.docker.network in networks


def _mappings(task: TaskInfo) -> list[ContainerInfo.DockerInfo.PortMapping]:
    return list(task.container.docker.port_mappings) if _own_network(task) else []


def _named(
    port: DiscoveryPort,
    mappings: list[ContainerInfo.DockerInfo.PortMapping],
    own_network: bool,
) -> Port:
    labels, protocol = labels_of(port.labels), _protocol(port.protocol)
    mapping = _mapping_of(port.number, protocol, labels.get(SCOPE) == "container", mappings)
    if mapping is not None:
        return Port(mapping.container_port, mapping.host_port, port.name, protocol, labels)
    host = None if own_network else port.number
    return Port(port.number, host, port.name, protocol, labels)


def _mapping_of(
    number: int,
    protocol: str,
    inside: bool,
    mappings: list[ContainerInfo.DockerInfo.PortMapping],
) -> ContainerInfo.DockerInfo.PortMapping | None:
    """The mapping a discovery port means: by host port unless its scope is the container."""
    fitting = [m for m in mappings if _protocol(m.protocol) == protocol]
    by_host = [m for m in fitting if m.host_port == number]
    by_container = [m for m in fitting if m.container_port == number]
    ordered = by_container + by_host if inside else by_host + by_container
    return ordered[0] if ordered else None


def _protocol(text: str) -> str:
    """The first one of Marathon's ``udp,tcp``; TCP when none is told."""
    return text.partition(",")[0].strip().lower() or "tcp"


def _offered(task: TaskInfo) -> Iterator[int]:
    for resource in task.resources:
        if resource.name == "ports":
            for span in resource.ranges.range:
                yield from range(span.begin, span.end + 1)
