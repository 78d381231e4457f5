from __future__ import annotations

from typing import Any

import pytest

from shim.engine.mapping import Dns, DnsDefault
from tests.engine.mapping.tasks import (
    MESOS,
    body,
    host,
    mapping,
    parameters,
    ports,
    refusal,
    spec,
    spec_of,
    task,
)


def network(mode: str, *names: str) -> str:
    infos = "".join(f'network_infos {{ name: "{name}" }}' for name in names)
    return f"container {{ docker {{ network: {mode} }} {infos} }}"


HOSTNAME = 'container { hostname: "web" }'


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (network("HOST"), "host"),
        (network("BRIDGE"), "bridge"),
        (network("NONE"), "none"),
        (network("USER", "back"), "back"),
        (network("BRIDGE", "back"), "bridge"),
        (MESOS, "host"),
        (MESOS + network("BRIDGE", "back"), "back"),
        (MESOS + network("BRIDGE", "mesos-bridge"), "bridge"),
        (MESOS + "container { network_infos { } }", "host"),
    ],
)
def test_network_modes(text: str, mode: str) -> None:
    assert host(text)["NetworkMode"] == mode


def test_host_networking_is_the_default() -> None:
    info = task()
    info.container.docker.ClearField("network")
    assert spec_of(info).body["HostConfig"]["NetworkMode"] == "host"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (network("USER"), "No network info found in container info: container.network_infos"),
        (
            network("USER", "a", "b"),
            "Only a single network can be defined in Docker run: container.network_infos 'a, b'",
        ),
        (
            network("USER", ""),
            "No network name found in network info: container.network_infos[0].name",
        ),
        (network("USER", "a\\000"), "NUL byte: container.network_infos[0].name"),
        (
            network("HOST") + HOSTNAME,
            "Unable to set hostname with host network mode: container.hostname 'web'",
        ),
        (
            MESOS + HOSTNAME,
            "Unable to set hostname with host network mode: container.hostname 'web'",
        ),
        (
            network("HOST") + mapping(80, 80) + ports((80, 80)),
            "Port mappings are only supported for bridge and user-defined networks:"
            " container.docker.port_mappings '80:80'",
        ),
        (
            network("NONE") + mapping(80, 80) + ports((80, 80)),
            "Port mappings are only supported for bridge and user-defined networks:"
            " container.docker.port_mappings '80:80'",
        ),
    ],
)
def test_refused(text: str, message: str) -> None:
    assert refusal(text) == message


def test_hostname() -> None:
    assert body(HOSTNAME)["Hostname"] == "web"
    assert "Hostname" not in body()


def test_the_network_is_checked_before_a_parameter_replaces_it() -> None:
    """A stock agent checks the hostname and ports against docker.network alone."""
    assert refusal(network("HOST") + HOSTNAME + parameters("network=back")).startswith("Unable")
    assert body(HOSTNAME + parameters("network=host"))["Hostname"] == "web"


# ---- ports: none, virtual, real -------------------------------------------------------------

HOST_PORT = "container.docker.port_mappings[0].host_port"
EXPOSED: dict[str, dict[str, str]] = {"80/tcp": {}}


@pytest.mark.parametrize("mode", ["none", "virtual"])
def test_a_port_without_host_port_is_exposed(mode: str) -> None:
    made = body(mapping(0, 80), ports=mode)
    assert made["ExposedPorts"] == EXPOSED
    assert "PortBindings" not in made["HostConfig"]


@pytest.mark.parametrize("mode", ["none", "virtual", "real"])
def test_a_host_port_must_be_among_the_tasks_ports(mode: str) -> None:
    text = mapping(31005, 80)
    assert refusal(text, ports=mode) == (
        f"Port mappings require port resources: {HOST_PORT} '31005'"
    )
    assert refusal(text + ports((31000, 31004), (31006, 31010)), ports=mode) == (
        f"Port [31005] not included in resources: {HOST_PORT} '31005'"
    )


def test_a_virtual_port_is_never_bound() -> None:
    made = body(mapping(31005, 80) + ports((31005, 31005)), ports="virtual")
    assert made["ExposedPorts"] == EXPOSED
    assert "PortBindings" not in made["HostConfig"]


def test_real_ports_are_bound_on_all_addresses() -> None:
    text = (
        ports((31000, 31001), (31005, 31005))
        + mapping(31000, 80)
        + mapping(31001, 80)
        + mapping(31005, 53, "UDP")
    )
    made = body(text, ports="real")
    assert made["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert made["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "", "HostPort": "31000"}, {"HostIp": "", "HostPort": "31001"}],
        "53/udp": [{"HostIp": "", "HostPort": "31005"}],
    }


def test_a_real_port_is_never_zero() -> None:
    assert refusal(mapping(0, 80) + ports((31000, 31001)), ports="real") == (
        f"Port [0] not included in resources: {HOST_PORT} '0'"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            mapping(0, 0),
            "Port not in 1..65535: container.docker.port_mappings[0].container_port '0'",
        ),
        (
            mapping(0, 65536),
            "Port not in 1..65535: container.docker.port_mappings[0].container_port '65536'",
        ),
        (
            mapping(0, 80, "icmp"),
            "Not a protocol (tcp, udp or sctp): container.docker.port_mappings[0].protocol 'icmp'",
        ),
    ],
)
def test_refused_mappings(text: str, message: str) -> None:
    assert refusal(text) == message


def test_port_mappings_of_a_mesos_container_are_in_its_network_info() -> None:
    text = (
        MESOS
        + 'container { network_infos { name: "back"'
        + " port_mappings { host_port: 31000 container_port: 80 } } }"
        + ports((31000, 31000))
    )
    made = body(text, ports="real")
    assert made["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "31000"}]}


def test_unused_fields_of_network_infos_are_warnings() -> None:
    text = (
        'container { network_infos { name: "back" ip_addresses { } ip_addresses { ip_address:'
        ' "10.0.0.5" } port_mappings { host_port: 1 container_port: 2 } } }'
    )
    assert spec(text).warnings == (
        "container.network_infos[0].ip_addresses '10.0.0.5': not used; parameter ip sets one",
        "container.network_infos[0].port_mappings: not used, a Docker container has its own",
    )


# ---- Triton ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [network("HOST"), network("BRIDGE"), MESOS])
def test_on_triton_host_and_bridge_are_the_default_network(text: str) -> None:
    assert host(text, kind="triton")["NetworkMode"] == "bridge"
    assert host(text, kind="triton", default_network="fabric")["NetworkMode"] == "fabric"


def test_on_triton_a_named_network_is_used_by_its_name() -> None:
    assert host(network("USER", "back"), kind="triton")["NetworkMode"] == "back"
    assert host(parameters("network=back"), kind="triton")["NetworkMode"] == "back"


@pytest.mark.parametrize("name", ["host", "bridge", "default"])
def test_on_triton_a_parameter_may_name_the_default_network(name: str) -> None:
    made = host(parameters(f"net={name}"), kind="triton", default_network="fabric")
    assert made["NetworkMode"] == "fabric"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            network("NONE"),
            "Triton has no containers without a network: container.docker.network 'NONE'",
        ),
        (
            parameters("net=none"),
            "Triton has no containers without a network of their own:"
            " container.docker.parameters[0] 'net=none'",
        ),
        (
            parameters("net=container:db"),
            "Triton has no containers without a network of their own:"
            " container.docker.parameters[0] 'net=container:db'",
        ),
        (
            parameters("net=a", "net=b"),
            "A container is on one network on Triton: container.docker.parameters[1] 'net=b'",
        ),
    ],
)
def test_refused_on_triton(text: str, message: str) -> None:
    assert refusal(text, kind="triton") == message


def test_on_triton_every_container_may_have_a_hostname() -> None:
    assert body(network("HOST") + HOSTNAME, kind="triton")["Hostname"] == "web"


@pytest.mark.parametrize("mode", ["none", "virtual", "real"])
@pytest.mark.parametrize("host_port", [0, 80])
def test_on_triton_equal_or_no_host_ports_are_accepted_and_never_bound(
    host_port: int, mode: str
) -> None:
    made = spec(network("HOST") + mapping(host_port, 80), kind="triton", ports=mode)
    assert made.body["ExposedPorts"] == EXPOSED
    assert "PortBindings" not in made.body["HostConfig"]
    assert made.warnings == ()


@pytest.mark.parametrize("mode", ["none", "real"])
def test_on_triton_a_differing_host_port_is_refused(mode: str) -> None:
    text = mapping(8080, 80) + ports((8080, 8080))
    assert refusal(text, kind="triton", ports=mode) == (
        "Remapping of port numbers not allowed: on Triton every container has its own address, so"
        f" the host port must be 80, 0 or absent: {HOST_PORT} '8080'"
    )


def test_on_triton_a_virtual_host_port_may_differ_from_the_container_port() -> None:
    text = mapping(31005, 80)
    made = spec(text + ports((31005, 31005)), kind="triton", ports="virtual")
    assert made.body["ExposedPorts"] == EXPOSED
    assert "is virtual" in made.warnings[0]
    assert refusal(text, kind="triton", ports="virtual").startswith("Port mappings require")


@pytest.mark.parametrize(
    "asked",
    [
        parameters("publish-all=true"),
        'labels { labels { key: "triton.network.public" value: "external" } }',
        parameters("label=triton.network.public=external"),
    ],
)
def test_on_triton_a_container_is_public_only_on_request(asked: str) -> None:
    made = host(mapping(80, 80) + asked, kind="triton")
    assert made["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": ""}]}


# ---- default DNS ----------------------------------------------------------------------------


def dns(name: str) -> Dns:
    return Dns((f"10.0.0.{name}",), (f"{name}.example",), (f"ndots:{name}",))


DEFAULTS = (
    DnsDefault("BRIDGE", "", dns("1")),
    DnsDefault("USER", "", dns("2")),
    DnsDefault("USER", "back", dns("3")),
    DnsDefault("CNI", "back", dns("4")),
    DnsDefault("HOST", "", dns("5")),
)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        (network("BRIDGE"), ["10.0.0.1"]),
        (network("USER", "front"), ["10.0.0.2"]),
        (network("USER", "back"), ["10.0.0.3"]),
        (network("HOST"), None),
        (network("NONE"), None),
        (MESOS + network("BRIDGE", "back"), ["10.0.0.4"]),
        (MESOS + network("BRIDGE", "front"), None),
        (MESOS, ["10.0.0.5"]),
        (parameters("net=host"), ["10.0.0.1"]),
        (parameters("dns-search=x"), None),
        (parameters("dns-opt=x"), None),
        (parameters("dns-option=x"), None),
        (parameters("dns=10.9.9.9"), ["10.9.9.9"]),
    ],
)
def test_default_dns(text: str, server: list[str] | None) -> None:
    assert host(text, default_container_dns=DEFAULTS).get("Dns") == server


@pytest.mark.parametrize(
    ("settings", "names"),
    [({}, {"Dns", "DnsSearch", "DnsOptions"}), ({"kind": "triton"}, {"Dns", "DnsSearch"})],
)
def test_dns_settings_that_each_endpoint_reads(settings: dict[str, Any], names: set[str]) -> None:
    made = host(default_container_dns=DEFAULTS, **settings)
    assert {name for name in made if name.startswith("Dns")} == names


def test_an_empty_default_sets_nothing() -> None:
    assert "Dns" not in host(default_container_dns=(DnsDefault("BRIDGE", "", Dns()),))
