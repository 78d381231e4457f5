"""``container.docker.network``, ``network_infos``, ``hostname``, DNS defaults and port mappings."""

from __future__ import annotations

from collections.abc import Sequence

from shim.engine.mapping.rules import Dns
from shim.engine.mapping.spec_builder import Field, SpecBuilder, Triton, invalid, no_nul, shown
from shim.engine.mapping.values import units
from shim.protos.mesos_pb2 import ContainerInfo, NetworkInfo

DNS_PARAMETERS = frozenset({"dns", "dns-search", "dns-opt", "dns-option"})
_Network = ContainerInfo.DockerInfo.Network
_MODES = {_Network.HOST: "host", _Network.BRIDGE: "bridge", _Network.NONE: "none"}
_PortMapping = ContainerInfo.DockerInfo.PortMapping | NetworkInfo.PortMapping

FIELDS = (
    Field(
        "container.docker.network",
        "HostConfig.NetworkMode",
        "`host` (default), `bridge`, `none`, or for USER the name in `network_infos`; on Triton"
        " host and bridge become the default network and none is refused",
        Triton.NOTE,
    ),
    Field(
        "container.network_infos[0].name",
        "HostConfig.NetworkMode",
        "for USER exactly one network with a name; for a `MESOS` container no name means host",
    ),
    Field(
        "container.network_infos.port_mappings",
        "as container.docker.port_mappings",
        "of a `MESOS` container; a warning on a Docker one, which has its own",
    ),
    Field(
        "container.network_infos.ip_addresses, container.network_infos.groups,"
        " container.network_infos.labels",
        "-",
        "a wanted `ip_address` is a warning (parameter `ip` sets one); groups and labels only"
        " travel in the task's status, as with a stock agent",
        Triton.YES,
        "not used",
    ),
    Field("container.hostname", "Hostname", "refused with host networking", Triton.NOTE),
    Field(
        "container.docker.port_mappings",
        "ExposedPorts, HostConfig.PortBindings",
        "bound with `--ports=RANGES`, else only exposed on the container's own address; a host"
        " port must be in the task's `ports`. On Triton equal to the container port or 0 (any of"
        " the task's `ports` with `--ports=virtual`), never bound, and public only with the"
        " parameter `publish` or `publish-all`, or a label `triton.network.public`",
        Triton.NOTE,
    ),
    Field(
        "(agent) --default_container_dns",
        "HostConfig.Dns, HostConfig.DnsSearch, HostConfig.DnsOptions",
        "by network, unless the task has a DNS parameter of its own",
    ),
)


def map_network(draft: SpecBuilder) -> None:
    """Network mode, hostname, ports and DNS, before parameters may replace any of them."""
    named = _named_network(draft)
    if draft.rules.triton:
        if named == "none":
            invalid(
                "Triton has no containers without a network", "container.docker.network", "NONE"
            )
        draft.network = draft.rules.default_network if named in ("host", "bridge") else named
    else:
        draft.network = named
    _map_hostname(draft, named)
    _map_ports(draft, named)
    _map_dns(draft, named)
    _warn_of_wishes(draft)


def _named_network(draft: SpecBuilder) -> str:
    container = draft.container
    if not draft.is_docker:
        return _name_of(container.network_infos) if _any_name(container.network_infos) else "host"
    if container.docker.network == _Network.USER:
        return _name_of(container.network_infos)
    return _MODES[container.docker.network]


def _any_name(infos: Sequence[NetworkInfo]) -> bool:
    return any(info.name for info in infos)


def _name_of(infos: Sequence[NetworkInfo]) -> str:
    if not infos:
        invalid("No network info found in container info", "container.network_infos")
    if len(infos) > 1:
        names = ", ".join(info.name for info in infos)
        invalid(
            "Only a single network can be defined in Docker run", "container.network_infos", names
        )
    if not infos[0].name:
        invalid("No network name found in network info", "container.network_infos[0].name")
    return no_nul("container.network_infos[0].name", infos[0].name)


def _map_hostname(draft: SpecBuilder, named: str) -> None:
    if not draft.container.HasField("hostname"):
        return
    hostname = no_nul("container.hostname", draft.container.hostname)
    if named == "host" and not draft.rules.triton:
        invalid("Unable to set hostname with host network mode", "container.hostname", hostname)
    draft.body["Hostname"] = hostname


def _map_ports(draft: SpecBuilder, named: str) -> None:
    field, mappings = _mappings(draft)
    if mappings and named in ("host", "none") and not draft.rules.triton:
        ports = ", ".join(f"{m.host_port}:{m.container_port}" for m in mappings)
        invalid(
            "Port mappings are only supported for bridge and user-defined networks", field, ports
        )
    for i, mapping in enumerate(mappings):
        _map_port(draft, f"{field}[{i}]", mapping)


def _mappings(draft: SpecBuilder) -> tuple[str, Sequence[_PortMapping]]:
    if draft.is_docker:
        return "container.docker.port_mappings", draft.container.docker.port_mappings
    infos = draft.container.network_infos
    mappings = infos[0].port_mappings if infos else []
    return "container.network_infos[0].port_mappings", mappings


def _map_port(draft: SpecBuilder, field: str, mapping: _PortMapping) -> None:
    try:
        protocol = units.protocol(mapping.protocol)
    except ValueError as error:
        invalid(str(error), f"{field}.protocol", mapping.protocol)
    if not 1 <= mapping.container_port <= 65535:
        invalid("Port not in 1..65535", f"{field}.container_port", mapping.container_port)
    _check_host_port(draft, field, mapping)
    port = f"{mapping.container_port}/{protocol}"
    draft.merge("ExposedPorts", {port: {}})
    if draft.rules.binds_ports:
        bindings = {"HostIp": "", "HostPort": str(mapping.host_port)}
        draft.append(f"HostConfig.PortBindings.{port}", bindings)


def _check_host_port(draft: SpecBuilder, field: str, mapping: _PortMapping) -> None:
    """A host port belongs to the task. 0 is a stock agent's mistake only where ports are bound."""
    host_port = mapping.host_port
    if host_port == 0 and not draft.rules.binds_ports:
        return
    if draft.rules.triton and host_port == mapping.container_port:
        return
    if draft.rules.triton and draft.rules.ports != "virtual":
        invalid(
            "Remapping of port numbers not allowed: on Triton every container has its own address,"
            f" so the host port must be {mapping.container_port}, 0 or absent",
            f"{field}.host_port",
            host_port,
        )
    ranges = [r for r in draft.task.resources if r.name == "ports"]
    if not ranges:
        invalid("Port mappings require port resources", f"{field}.host_port", host_port)
    if not any(r.begin <= host_port <= r.end for p in ranges for r in p.ranges.range):
        invalid(f"Port [{host_port}] not included in resources", f"{field}.host_port", host_port)
    if draft.rules.triton:
        draft.warn(
            f"{field}.host_port {host_port} is virtual: the container answers on its own address,"
            f" port {mapping.container_port}"
        )


def _map_dns(draft: SpecBuilder, named: str) -> None:
    keys = {p.key for p in draft.container.docker.parameters}
    dns = None if keys & DNS_PARAMETERS else _default_dns(draft, named)
    if dns is None:
        return
    values = {"Dns": dns.nameservers, "DnsSearch": dns.search, "DnsOptions": dns.options}
    for name, value in values.items():
        read = name != "DnsOptions" or not draft.rules.triton
        if value and read:
            draft.put(f"HostConfig.{name}", list(value))


def _default_dns(draft: SpecBuilder, named: str) -> Dns | None:
    """The entry with the network's name, else the one of its mode without a name."""
    if draft.is_docker:
        mode = {"bridge": "BRIDGE", "host": "", "none": ""}.get(named, "USER")
    else:
        mode = "HOST" if named == "host" else "CNI"
    entries = [entry for entry in draft.rules.default_container_dns if entry.mode == mode]
    for wanted in (named, ""):
        for entry in entries:
            if mode == "BRIDGE" or entry.network == wanted:
                return entry.dns
    return None


def _warn_of_wishes(draft: SpecBuilder) -> None:
    for i, info in enumerate(draft.container.network_infos):
        field = f"container.network_infos[{i}]"
        wanted = [address.ip_address for address in info.ip_addresses if address.ip_address]
        if wanted:
            draft.warn(
                f"{field}.ip_addresses {shown(', '.join(wanted))}: not used; parameter ip sets one"
            )
        if draft.is_docker and info.port_mappings:
            draft.warn(f"{field}.port_mappings: not used, a Docker container has its own")
