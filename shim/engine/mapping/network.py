"""``container.docker.network``, ``network_infos``, ``hostname``, DNS defaults and port mappings."""

from __future__ import annotations

from collections.abc import Sequence

from shim.engine.mapping.mapping_settings import Dns
from shim.engine.mapping.spec_builder import (
    FieldRow,
    SpecBuilder,
    TritonSupport,
    quoted,
    reject,
    without_nul,
)
from shim.engine.mapping.values import ports as port_values
from shim.protos.mesos_pb2 import ContainerInfo, NetworkInfo

DNS_PARAMETERS = frozenset({"dns", "dns-search", "dns-opt", "dns-option"})
_Network = ContainerInfo.DockerInfo.Network
_MODES = {_Network.HOST: "host", _Network.BRIDGE: "bridge", _Network.NONE: "none"}
_PortMapping = ContainerInfo.DockerInfo.PortMapping | NetworkInfo.PortMapping

FIELDS = (
    FieldRow(
        "container.docker.network",
        "HostConfig.NetworkMode",
        "`host` (default), `bridge`, `none`, or for USER the name in `network_infos`; on Triton"
        " host and bridge become the default network and none is refused",
        TritonSupport.SEE_NOTE,
    ),
    FieldRow(
        "container.network_infos[0].name",
        "HostConfig.NetworkMode",
        "for USER exactly one network with a name; for a `MESOS` container no name means host, and"
        " `mesos-bridge`, Marathon's default, means `bridge`",
    ),
    FieldRow(
        "container.network_infos.port_mappings",
        "as container.docker.port_mappings",
        "of a `MESOS` container; a warning on a Docker one, which has its own",
    ),
    FieldRow(
        "container.network_infos.ip_addresses, container.network_infos.groups,"
        " container.network_infos.labels",
        "-",
        "a wanted `ip_address` is a warning (parameter `ip` sets one); groups and labels only"
        " travel in the task's status, as with a stock agent",
        TritonSupport.YES,
        "not used",
    ),
    FieldRow(
        "container.hostname",
        "Hostname",
        "refused with host networking; of a task in a task group a warning: the executor's counts",
        TritonSupport.SEE_NOTE,
    ),
    FieldRow(
        "container.docker.port_mappings",
        "ExposedPorts, HostConfig.PortBindings",
        "bound with `--ports=RANGES`, else only exposed on the container's own address; a host"
        " port must be in the task's `ports`. On Triton equal to the container port or 0 (any of"
        " the task's `ports` with `--ports=virtual`), never bound, and public only with the"
        " parameter `publish` or `publish-all`, or a label `triton.network.public`",
        TritonSupport.SEE_NOTE,
    ),
    FieldRow(
        "(agent) --default_container_dns",
        "HostConfig.Dns, HostConfig.DnsSearch, HostConfig.DnsOptions",
        "by network, unless the task has a DNS parameter of its own",
    ),
)


_MESOS_BRIDGE = "mesos-bridge"
"""Marathon's default name for the bridge of a MESOS container (``--mesos_bridge_name``)."""


def map_network(builder: SpecBuilder) -> None:
    """Set network, hostname, ports and DNS. Parameters, applied later, may replace each of them."""
    if builder.infra and not _any_name(builder.container.network_infos):
        _join_executor(builder)
        return
    requested = _requested_network(builder)
    if builder.settings.triton:
        if requested == "none":
            reject("Triton has no containers without a network", "container.docker.network", "NONE")
        builder.network = (
            builder.settings.default_network if requested in ("host", "bridge") else requested
        )
    else:
        builder.network = requested
    _map_hostname(builder, requested)
    _map_ports(builder, requested)
    _map_dns(builder, requested)
    _warn_of_unused_fields(builder)


def _join_executor(builder: SpecBuilder) -> None:
    """Share the network of the executor's infra container, which has ports, DNS and host name."""
    builder.network = f"container:{builder.infra}"
    builder.starts_after = builder.infra
    if builder.container.HasField("hostname"):
        builder.warn("container.hostname: not used, the task shares its executor's host name")
    field, mappings = _mappings(builder)
    if mappings:
        builder.warn(f"{field}: not used, the port mappings are the executor's")
    _warn_of_unused_fields(builder)


def _requested_network(builder: SpecBuilder) -> str:
    container = builder.container
    if not builder.is_docker:
        infos = container.network_infos
        if builder.member is not None and not _any_name(infos):
            infos = builder.member.executor.container.network_infos
        name = _name_of(infos) if _any_name(infos) else "host"
        return "bridge" if name == _MESOS_BRIDGE else name
    if container.docker.network == _Network.USER:
        return _name_of(container.network_infos)
    return _MODES[container.docker.network]


def _any_name(infos: Sequence[NetworkInfo]) -> bool:
    return any(info.name for info in infos)


def _name_of(infos: Sequence[NetworkInfo]) -> str:
    if not infos:
        reject("No network info found in container info", "container.network_infos")
    if len(infos) > 1:
        names = ", ".join(info.name for info in infos)
        reject(
            "Only a single network can be defined in Docker run", "container.network_infos", names
        )
    if not infos[0].name:
        reject("No network name found in network info", "container.network_infos[0].name")
    return without_nul("container.network_infos[0].name", infos[0].name)


def _map_hostname(builder: SpecBuilder, requested: str) -> None:
    if not builder.container.HasField("hostname"):
        return
    hostname = without_nul("container.hostname", builder.container.hostname)
    if requested == "host" and not builder.settings.triton:
        reject("Unable to set hostname with host network mode", "container.hostname", hostname)
    builder.body["Hostname"] = hostname


def _map_ports(builder: SpecBuilder, requested: str) -> None:
    field, mappings = _mappings(builder)
    if mappings and requested in ("host", "none") and not builder.settings.triton:
        ports = ", ".join(f"{m.host_port}:{m.container_port}" for m in mappings)
        reject(
            "Port mappings are only supported for bridge and user-defined networks", field, ports
        )
    for i, mapping in enumerate(mappings):
        _map_port(builder, f"{field}[{i}]", mapping)


def _mappings(builder: SpecBuilder) -> tuple[str, Sequence[_PortMapping]]:
    if builder.is_docker:
        return "container.docker.port_mappings", builder.container.docker.port_mappings
    infos = builder.container.network_infos
    mappings = infos[0].port_mappings if infos else []
    return "container.network_infos[0].port_mappings", mappings


def _map_port(builder: SpecBuilder, field: str, mapping: _PortMapping) -> None:
    try:
        protocol = port_values.protocol(mapping.protocol)
    except ValueError as error:
        reject(str(error), f"{field}.protocol", mapping.protocol)
    if not 1 <= mapping.container_port <= 65535:
        reject("Port not in 1..65535", f"{field}.container_port", mapping.container_port)
    _check_host_port(builder, field, mapping)
    port = f"{mapping.container_port}/{protocol}"
    builder.update("ExposedPorts", {port: {}})
    if builder.settings.binds_ports:
        bindings = {"HostIp": "", "HostPort": str(mapping.host_port)}
        builder.append(f"HostConfig.PortBindings.{port}", bindings)


def _check_host_port(builder: SpecBuilder, field: str, mapping: _PortMapping) -> None:
    """Refuse a host port that is not among the task's ``ports`` resources.

    Host port 0 is accepted where the engine binds no ports. A stock agent refuses port 0.
    """
    host_port = mapping.host_port
    if host_port == 0 and not builder.settings.binds_ports:
        return
    if builder.settings.triton and host_port == mapping.container_port:
        return
    if builder.settings.triton and builder.settings.ports != "virtual":
        reject(
            "Remapping of port numbers not allowed: on Triton every container has its own address,"
            f" so the host port must be {mapping.container_port}, 0 or absent",
            f"{field}.host_port",
            host_port,
        )
    ranges = [r for r in builder.task.resources if r.name == "ports"]
    if not ranges:
        reject("Port mappings require port resources", f"{field}.host_port", host_port)
    if not any(r.begin <= host_port <= r.end for p in ranges for r in p.ranges.range):
        reject(f"Port [{host_port}] not included in resources", f"{field}.host_port", host_port)
    if builder.settings.triton:
        builder.warn(
            f"{field}.host_port {host_port} is virtual: the container answers on its own address,"
            f" port {mapping.container_port}"
        )


def _map_dns(builder: SpecBuilder, requested: str) -> None:
    keys = {p.key for p in builder.container.docker.parameters}
    dns = None if keys & DNS_PARAMETERS else _default_dns(builder, requested)
    if dns is None:
        return
    values = {"Dns": dns.nameservers, "DnsSearch": dns.search, "DnsOptions": dns.options}
    for name, value in values.items():
        read = name != "DnsOptions" or not builder.settings.triton
        if value and read:
            builder.set(f"HostConfig.{name}", list(value))


def _default_dns(builder: SpecBuilder, requested: str) -> Dns | None:
    """Return the entry with the network's name, else the entry of its mode without a name."""
    if builder.is_docker:
        mode = {"bridge": "BRIDGE", "host": "", "none": ""}.get(requested, "USER")
    else:
        mode = "HOST" if requested == "host" else "CNI"
    entries = [entry for entry in builder.settings.default_container_dns if entry.mode == mode]
    for wanted in (requested, ""):
        for entry in entries:
            if mode == "BRIDGE" or entry.network == wanted:
                return entry.dns
    return None


def _warn_of_unused_fields(builder: SpecBuilder) -> None:
    for i, info in enumerate(builder.container.network_infos):
        field = f"container.network_infos[{i}]"
        wanted = [address.ip_address for address in info.ip_addresses if address.ip_address]
        if wanted:
            builder.warn(
                f"{field}.ip_addresses {quoted(', '.join(wanted))}: not used; parameter ip sets one"
            )
        if builder.is_docker and info.port_mappings:
            builder.warn(f"{field}.port_mappings: not used, a Docker container has its own")
