from __future__ import annotations

import pytest

from shim.discovery.task_ports import TaskPort, task_ports
from shim.model.container import ContainerPort
from tests.discovery.tasks import bridged, discovery, task


def ports(text: str) -> list[tuple[int, int | None, str, str]]:
    return [(p.container, p.host, p.name, p.protocol) for p in task_ports(task(text))]


def test_a_task_without_declared_ports_has_no_ports() -> None:
    assert task_ports(task()) == ()


def test_mapped_ports_have_a_container_and_a_host_port() -> None:
    assert ports(bridged((31000, 80), (31001, 443))) == [
        (80, 31000, "", "tcp"),
        (443, 31001, "", "tcp"),
    ]


def test_mappings_are_ignored_in_the_host_network_as_by_docker() -> None:
    text = bridged((31000, 80)).replace("BRIDGE", "HOST")
    assert ports(text) == []


def test_a_discovery_port_matches_a_mapping_by_host_port() -> None:
    text = bridged((31000, 80)) + discovery('number: 31000 name: "http" protocol: "tcp"')
    assert ports(text) == [(80, 31000, "http", "tcp")]


@pytest.mark.parametrize(
    ("scope", "container"),
    [("host", 8080), ("container", 9090)],
)
def test_marathons_scope_label_decides_between_host_and_container_port(
    scope: str, container: int
) -> None:
    labels = f'labels {{ labels {{ key: "network-scope" value: "{scope}" }} }}'
    text = bridged((9090, 8080), (7070, 9090)) + discovery(f"number: 9090 {labels}")
    assert ports(text)[0][0] == container


def test_an_unmapped_port_of_a_container_network_has_no_host_port() -> None:
    assert ports(bridged() + discovery('number: 80 name: "http"')) == [(80, None, "http", "tcp")]


def test_a_task_of_a_pod_has_only_the_mappings_that_it_names() -> None:
    mapped = bridged((31000, 80), (31001, 5432))
    found = task_ports(task(mapped + discovery('number: 31000 name: "http"')), shares_network=True)
    assert found == (TaskPort(80, 31000, "http"),)
    assert task_ports(task(mapped), shares_network=True) == ()
    ports = 'resources { name: "ports" type: RANGES ranges { range { begin: 7 end: 7 } } }'
    assert task_ports(task(mapped + ports), shares_network=True) == (TaskPort(7, 7),)


def test_in_the_host_network_both_ports_are_equal() -> None:
    assert ports(discovery("number: 31005")) == [(31005, 31005, "", "tcp")]


def test_one_number_with_two_protocols_gives_two_ports() -> None:
    text = discovery('number: 53 protocol: "udp"', 'number: 53 protocol: "tcp"', "number: 53")
    assert ports(text) == [(53, 53, "", "udp"), (53, 53, "", "tcp")]


def test_the_first_of_several_protocols_is_used() -> None:
    assert task_ports(task(discovery('number: 5 protocol: "udp,tcp"'))) == (
        TaskPort(5, 5, protocol="udp"),
    )


def parameters(*pairs: tuple[str, str], network: str = "BRIDGE") -> str:
    inner = "".join(f'parameters {{ key: "{key}" value: "{value}" }}' for key, value in pairs)
    return f'container {{ type: DOCKER docker {{ image: "i" network: {network} {inner} }} }}'


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("publish", "41080:80", [(80, 41080, "", "tcp")]),
        ("p", "41080:80/udp", [(80, 41080, "", "udp")]),
        ("publish", "127.0.0.1:41080:80", [(80, 41080, "", "tcp")]),
        ("publish", "80", [(80, None, "", "tcp")]),
        ("publish", "0:80", [(80, None, "", "tcp")]),
        ("publish", "8000-8001:80-81", [(80, 8000, "", "tcp"), (81, 8001, "", "tcp")]),
        ("publish", "8000-8001:80", [(80, None, "", "tcp")]),
        ("publish", "published=41080,target=80", [(80, 41080, "", "tcp")]),
        ("publish", "x", []),
        ("expose", "80", [(80, None, "", "tcp")]),
        ("expose", "80-81/udp", [(80, None, "", "udp"), (81, None, "", "udp")]),
        ("publish-all", "true", []),
    ],
)
def test_ports_of_docker_parameters(key: str, value: str, expected: list[object]) -> None:
    assert ports(parameters((key, value))) == expected


def test_exposed_ports_with_publish_all_are_ports() -> None:
    text = parameters(("publish-all", "true"), ("expose", "80"), ("expose", "53/udp"))
    assert ports(text) == [(80, None, "", "tcp"), (53, None, "", "udp")]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ([("publish-all", "true")], True),
        ([("P", "1")], True),
        ([("publish-all", "true"), ("publish-all", "false")], False),
        ([("publish-all", "x")], False),
        ([], False),
    ],
)
def test_the_ports_of_the_container_count_with_publish_all(
    given: list[tuple[str, str]], used: bool
) -> None:
    exposed = [ContainerPort(53, "udp", None), ContainerPort(80, "tcp", 49153)]
    found = task_ports(task(parameters(*given, ("expose", "80"))), exposed)
    assert found[0] == TaskPort(80, 49153 if used else None)
    assert found[1:] == ((TaskPort(53, None, protocol="udp"),) if used else ())


@pytest.mark.parametrize(
    "text",
    [
        parameters(("publish", "41080:80"), ("expose", "81"), network="HOST"),
        parameters(("publish", "41080:80"), ("expose", "81"), ("network", "host")),
    ],
)
def test_in_the_host_network_parameters_publish_nothing(text: str) -> None:
    assert ports(text) == [(80, 80, "", "tcp"), (81, 81, "", "tcp")]


def test_a_network_parameter_overrides_the_host_network() -> None:
    text = parameters(("publish", "41080:80"), ("network", "blue"), network="HOST")
    assert ports(text) == [(80, 41080, "", "tcp")]


def test_a_discovery_port_takes_its_host_port_from_the_parameter() -> None:
    text = parameters(("publish", "41080:80")) + discovery('number: 80 name: "http"')
    assert ports(text) == [(80, 41080, "http", "tcp")]


def test_port_mappings_of_a_mesos_container() -> None:
    mapping = "port_mappings { host_port: 31000 container_port: 80 }"
    text = f'container {{ type: MESOS network_infos {{ name: "blue" {mapping} }} }}'
    assert ports(text) == [(80, 31000, "", "tcp")]


def test_the_ports_resource_is_the_last_resort() -> None:
    offered = (
        'resources { name: "ports" type: RANGES ranges { '
        "range { begin: 31000 end: 31001 } range { begin: 5 end: 5 } } }"
        'resources { name: "cpus" type: SCALAR scalar { value: 1 } }'
    )
    assert [port[0] for port in ports(offered)] == [31000, 31001, 5]
    assert [port[0] for port in ports(offered + discovery("number: 8"))] == [8]
