from __future__ import annotations

from dataclasses import replace

import pytest

from shim import limits
from shim.discovery.services import ServiceContext, agent_service, task_services
from shim.model.container import ContainerPort
from shim.model.settings import CheckMode, RegisterMode
from tests.discovery.tasks import CONTEXT, OWN, bridged, discovery, publish, ref, task

WEB = bridged((31000, 80), (31001, 443)) + discovery(
    'number: 31000 name: "http"', 'number: 31001 name: "https"'
)
DISCOVERY_ALONE = 'discovery { visibility: FRAMEWORK name: "shop" }'
PORTS = 'resources { name: "ports" type: RANGES ranges { range { begin: 31000 end: %d } } }'
PREFIX = "mesos:shim-1:mesos-00000000-0000-0000-0000-000000000001:"


def test_each_port_is_a_service_at_the_containers_own_address() -> None:
    made = task_services(publish(task(WEB)), CONTEXT)
    assert [(s.id, s.name, s.address, s.port) for s in made.services] == [
        (f"{PREFIX}80", "web", "10.0.0.7", 80),
        (f"{PREFIX}443", "web-https", "10.0.0.7", 443),
    ]
    assert made.notes == ()


def test_a_container_without_an_address_is_registered_at_the_published_port() -> None:
    made = task_services(publish(task(WEB), addresses=()), CONTEXT)
    assert [(s.address, s.port) for s in made.services] == [
        ("192.0.2.1", 31000),
        ("192.0.2.1", 31001),
    ]


@pytest.mark.parametrize(
    ("addresses", "expected"), [(OWN, ("10.0.0.7", 80)), ((), ("192.0.2.1", 41080))]
)
def test_a_port_published_by_a_parameter_has_a_service_port(
    addresses: tuple[str, ...], expected: tuple[str, int]
) -> None:
    parameter = 'parameters { key: "publish" value: "41080:80" }'
    text = f'container {{ type: DOCKER docker {{ image: "i" network: BRIDGE {parameter} }} }}'
    (service,) = task_services(publish(task(text), addresses), CONTEXT).services
    assert (service.address, service.port) == expected


@pytest.mark.parametrize(
    ("addresses", "expected"), [(OWN, [80, 53]), ((), [49153])], ids=["own address", "none"]
)
def test_publish_all_registers_what_the_image_exposes(
    addresses: tuple[str, ...], expected: list[int]
) -> None:
    parameter = 'parameters { key: "publish-all" value: "true" }'
    text = f'container {{ type: DOCKER docker {{ image: "i" network: BRIDGE {parameter} }} }}'
    exposed = (ContainerPort(80, "tcp", 49153), ContainerPort(53, "udp", None))
    order = replace(publish(task(text), addresses), ports=exposed)
    assert [service.port for service in task_services(order, CONTEXT).services] == expected


def test_datacenters_without_a_dns_label_have_different_agent_services() -> None:
    names = set()
    for datacenter in ("日本", "Ελλάδα", "---", ""):
        context = replace(CONTEXT, datacenter=datacenter)
        names.add(agent_service(context, "S0", "192.0.2.9", 5051, healthy=True).name)
    assert len(names) == 4


def test_an_unreachable_port_gives_a_note_and_no_service() -> None:
    made = task_services(publish(task(bridged() + discovery("number: 80")), addresses=()), CONTEXT)
    assert made.services == ()
    assert "port 80 is not published" in made.notes[0]


@pytest.mark.parametrize(("addresses", "address"), [(OWN, "10.0.0.7"), ((), "192.0.2.1")])
def test_a_task_without_ports_is_one_service(addresses: tuple[str, ...], address: str) -> None:
    (service,) = task_services(publish(task(), addresses), CONTEXT).services
    assert (service.id, service.address, service.port) == (f"{PREFIX}0", address, 0)


def member(name: str, number: int, port: str, mapped: str, *, own: str = "") -> list[str]:
    """The service names of a task of Marathon's pod ``shop``."""
    found = discovery(f'number: {number} name: "{port}"' if port else "", name="shop")
    info = task(f"{mapped} {found if port else DISCOVERY_ALONE} {own}", name=name)
    return [
        s.name for s in task_services(replace(publish(info), shares_network=True), CONTEXT).services
    ]


def test_no_two_tasks_of_a_pod_are_one_service() -> None:
    mapped = bridged((31000, 80), (31001, 5432))
    assert member("web", 31000, "http", mapped) == ["shop"]
    assert member("db", 31001, "pg", mapped) == ["shop-pg"]
    assert member("log", 0, "", mapped) == ["shop-log"]
    assert member("shop", 31001, "pg", mapped) == ["shop-pg"], "a task with the pod's name"
    # In the host's network the ports are the executor's, in no certain order.
    one, two = (
        f"executor {{ executor_id {{ value: 'e' }} {PORTS % end} }}" for end in (31000, 31001)
    )
    assert member("web", 31000, "http", one) == ["shop"], "the only port"
    assert member("log", 0, "", one) == ["shop-log"]
    assert member("web", 31000, "http", two) == ["shop-http"]
    assert member("db", 31001, "pg", two) == ["shop-pg"]
    assert member("web", 8080, "http", "") == ["shop-http"], "no host port"
    # A task whose ports or name are its own keeps its name.
    assert member("web", 31000, "http", "", own=PORTS % 31000) == ["shop"]
    assert member("shop", 8080, "http", "") == ["shop"]
    labelled = task(
        mapped + discovery('number: 31001 name: "pg"', name="shop"), labels={"consul": "pg"}
    )
    order = replace(publish(labelled), shares_network=True)
    assert [s.name for s in task_services(order, CONTEXT).services] == ["pg"]


def test_the_labels_of_a_pod_are_those_of_its_tasks() -> None:
    mapped = bridged((31000, 80), (31001, 5432))
    pod = 'executor { executor_id { value: "e" } labels { labels { key: "consul" value: "%s" } } }'

    def names(label: str, port: int, mode: RegisterMode, **own: str) -> list[str]:
        found = discovery(f'number: {port} name: "pg"', name="shop")
        info = task(f"{mapped} {found} {pod % label}", name="db", labels=own)
        order = replace(publish(info), shares_network=True)
        return [s.name for s in task_services(order, replace(CONTEXT, register=mode)).services]

    assert names("store", 31000, RegisterMode.LABELLED) == ["store"]
    assert names("store", 31001, RegisterMode.LABELLED) == ["store-pg"]
    assert names("true", 31001, RegisterMode.LABELLED) == ["shop-pg"]
    assert names("false", 31001, RegisterMode.ALL) == []
    assert names("store", 31001, RegisterMode.ALL, consul="shop") == ["shop"], "its own label"
    assert names("false", 31001, RegisterMode.ALL, consul="true") == ["shop-pg"]
    assert names("store", 31001, RegisterMode.ALL, consul="false") == []


def test_meta_names_owner_task_framework_agent_and_container() -> None:
    (service,) = task_services(publish(task(labels={"version": "3"})), CONTEXT).services
    assert service.meta == {
        "mesos_owner": "shim-1",
        "mesos_task": "web.1",
        "mesos_framework": "F0",
        "mesos_agent": "S0",
        "mesos_container": ref().name,
        "mesos_datacenter": "us-east-1",
        "mesos_revision": service.check.revision,
        "version": "3",
    }


def test_tasks_and_ports_can_opt_out() -> None:
    assert task_services(publish(task(labels={"consul": "false"})), CONTEXT).services == ()
    none = replace(CONTEXT, register=RegisterMode.NONE)
    assert task_services(publish(task(labels={"consul": "x"})), none).services == ()
    labels = 'labels { labels { key: "consul" value: "false" } }'
    made = task_services(publish(task(discovery("number: 1", f"number: 2 {labels}"))), CONTEXT)
    assert [service.port for service in made.services] == [1]


def test_the_number_of_services_of_a_task_is_bounded() -> None:
    text = 'resources { name: "ports" type: RANGES ranges { range { begin: 1 end: 999 } } }'
    made = task_services(publish(task(text)), CONTEXT)
    assert len(made.services) == limits.CONSUL_PORTS
    assert "of 999 ports" in made.notes[0]


def test_udp_and_tcp_of_one_number_have_different_ids() -> None:
    text = discovery("number: 53", 'number: 53 protocol: "udp"')
    ids = [service.id for service in task_services(publish(task(text)), CONTEXT).services]
    assert ids == [f"{PREFIX}53", f"{PREFIX}53-udp"]


@pytest.mark.parametrize(
    ("addresses", "url"),
    [(OWN, "http://10.0.0.7:443/"), ((), "http://192.0.2.1:31001/")],
)
def test_a_check_run_by_consul_uses_the_reachable_address(
    addresses: tuple[str, ...], url: str
) -> None:
    context = replace(CONTEXT, checks=CheckMode.CONSUL)
    info = task(WEB + "health_check { type: HTTP http { port: 443 } }")
    made = task_services(publish(info, addresses), context)
    assert {service.check.fields["HTTP"] for service in made.services} == {url}


def test_the_body_of_a_registration() -> None:
    (service,) = task_services(publish(task(discovery("number: 8"))), CONTEXT).services
    assert service.body == {
        "ID": f"{PREFIX}8",
        "Name": "web",
        "Address": "10.0.0.7",
        "Port": 8,
        "Tags": ["mesos"],
        "Meta": service.meta,
        "Check": {
            "CheckID": f"{PREFIX}8:check",
            "Name": "Mesos task",
            "TTL": "21600s",
            "DeregisterCriticalServiceAfter": "21600s",
            "Status": "passing",
        },
    }


def test_the_service_of_the_agent() -> None:
    service = agent_service(CONTEXT, "S0", "192.0.2.9", 5051, healthy=False)
    assert (service.id, service.name) == ("mesos:shim-1:agent", "mesos-agent-us-east-1")
    assert (service.check.status, service.check.ttl) == ("critical", 60.0)
    assert service.meta["mesos_agent"] == "S0"


def test_an_owner_that_breaks_a_consul_filter_is_refused() -> None:
    with pytest.raises(ValueError, match="owner"):
        ServiceContext(owner='a" or "1', datacenter="d", engine_host="h")
