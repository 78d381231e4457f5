"""The ports on which a task listens, as its TaskInfo declares them. Pure.

The sources, in this order: DiscoveryInfo, port mappings, the docker parameters ``publish`` and
``expose``, with ``publish-all`` what the image exposes; and, if none of them names a port, the
``ports`` resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from shim.engine.mapping.values import ports as port_values
from shim.engine.mapping.values import scalars
from shim.model.container import ContainerPort
from shim.protos.mesos_pb2 import ContainerInfo, Labels, NetworkInfo, Port, Resource, TaskInfo

_Mapping = ContainerInfo.DockerInfo.PortMapping | NetworkInfo.PortMapping
_T = TypeVar("_T")
_LONG_KEYS = {"p": "publish", "P": "publish-all"}

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


def task_ports(
    task: TaskInfo, container: Iterable[ContainerPort] = (), *, shares_network: bool = False
) -> tuple[TaskPort, ...]:
    """All ports of a task. Ports of the same protocol and container port are given once.

    ``container`` are the ports of its container: with ``publish-all`` the image names them.
    ``shares_network``: the port mappings are those of a pod. A task there has the ones that its
    DiscoveryInfo names.
    """
    mappings = _mappings(task)
    own_network = _has_own_network(task)
    named = [_discovery_port(port, mappings, own_network) for port in task.discovery.ports.ports]
    mapped = [
        TaskPort(m.container_port, m.host_port, protocol=_protocol(m.protocol))
        for m in (() if shares_network else mappings)
    ]
    found = [*named, *mapped, *_published(task, own_network), *_exposed(task, own_network)]
    if _publishes_all(task):
        # Engines name them in no certain order. The first port has the plain service name.
        ordered = sorted(container, key=lambda port: (port.protocol != "tcp", port.number))
        found += [TaskPort(port.number, port.host, protocol=port.protocol) for port in ordered]
    if not found:
        found = [TaskPort(number, number) for number in _port_numbers(task.resources)]
    unique: dict[tuple[int, str], TaskPort] = {}
    for port in found:
        known = unique.setdefault((port.container, port.protocol), port)
        if known.host is None and port.host is not None:
            unique[port.container, port.protocol] = replace(known, host=port.host)
    return tuple(unique.values())


def main_port(task: TaskInfo) -> int | None:
    """The container port that stands for the whole pod of a task; None: no port does.

    It is the first that the pod's network maps, or the only one that its executor has.
    """
    mappings = _mappings(task)
    if mappings:
        return mappings[0].container_port
    found = list(_port_numbers(task.executor.resources))
    return found[0] if len(found) == 1 else None


def has_own_ports(task: TaskInfo) -> bool:
    """Whether the task's own resources have ports. Those of Marathon's pods are the executor's."""
    return any(resource.name == "ports" for resource in task.resources)


def labels_of(labels: Labels) -> dict[str, str]:
    """Labels as a dict. The last label of a key counts."""
    return {label.key: label.value for label in labels.labels}


def _has_own_network(task: TaskInfo) -> bool:
    """Whether the container has its own network, so that host and container ports differ."""
    parameters = [value for key, value in _parameters(task) if key in ("network", "net")]
    if parameters:
        return parameters[-1] not in ("host", "none")
    if task.container.HasField("docker"):
        networks = (ContainerInfo.DockerInfo.BRIDGE, ContainerInfo.DockerInfo.USER)
        return task.container.docker.network in networks
    return any(info.name for info in task.container.network_infos)


def _mappings(task: TaskInfo) -> list[_Mapping]:
    """The port mappings that the agent applies; they are ignored in the host's network."""
    if not _has_own_network(task):
        return []
    if task.container.HasField("docker"):
        return list(task.container.docker.port_mappings)
    return list(task.container.network_infos[0].port_mappings)


def _parameters(task: TaskInfo) -> Iterator[tuple[str, str]]:
    """The docker parameters with their long keys."""
    for parameter in task.container.docker.parameters:
        yield _LONG_KEYS.get(parameter.key, parameter.key), parameter.value


def _published(task: TaskInfo, own_network: bool) -> Iterator[TaskPort]:
    """Parameter ``publish``. A host port that the engine chooses is not in the TaskInfo."""
    for key, value in _parameters(task):
        if key == "publish":
            for published in _parsed(port_values.publish, value):
                number, _, protocol = published.port.partition("/")
                host = published.host_port if own_network else number
                fixed = int(host) if host.isdecimal() and int(host) else None
                yield TaskPort(int(number), fixed, protocol=protocol)


def _publishes_all(task: TaskInfo) -> bool:
    given = [value for key, value in _parameters(task) if key == "publish-all"]
    try:
        return bool(given) and scalars.boolean(given[-1])
    except ValueError:
        return False


def _exposed(task: TaskInfo, own_network: bool) -> Iterator[TaskPort]:
    """Parameter ``expose``. With ``publish-all`` the engine chooses host ports for them."""
    for key, value in _parameters(task):
        if key == "expose":
            for exposed in _parsed(port_values.expose, value):
                number, _, protocol = exposed.partition("/")
                yield TaskPort(int(number), None if own_network else int(number), protocol=protocol)


def _parsed(parse: Callable[[str], Iterable[_T]], value: str) -> Iterable[_T]:
    """Nothing for an invalid value: the agent rejects such a task before it runs."""
    try:
        return parse(value)
    except ValueError:
        return ()


def _discovery_port(
    port: Port,
    mappings: Sequence[_Mapping],
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
    mappings: Sequence[_Mapping],
) -> _Mapping | None:
    """The mapping of a discovery port: by host port, unless its scope is the container."""
    candidates = [m for m in mappings if _protocol(m.protocol) == protocol]
    by_host = [m for m in candidates if m.host_port == number]
    by_container = [m for m in candidates if m.container_port == number]
    ordered = by_container + by_host if container_scope else by_host + by_container
    return ordered[0] if ordered else None


def _protocol(text: str) -> str:
    """The first protocol of Marathon's ``udp,tcp``; TCP when the text is empty."""
    return text.partition(",")[0].strip().lower() or "tcp"


def _port_numbers(resources: Iterable[Resource]) -> Iterator[int]:
    for resource in resources:
        if resource.name == "ports":
            for span in resource.ranges.range:
                yield from range(span.begin, span.end + 1)
