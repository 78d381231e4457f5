"""A running task -> what is registered of it in Consul. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shim import limits
from shim.discovery.checks import Check, task_check, ttl_check
from shim.discovery.config import Checks, Register
from shim.discovery.names import FALSE, LABEL, base_name, dns_label, is_wanted, port_names
from shim.discovery.ports import Port, labels_of, task_ports
from shim.discovery.tags import OWNER, REVISION, meta_of, tags_of
from shim.model.container import Ref
from shim.model.orders import Publish


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """Who registers, from where, by which rules."""

    owner: str
    """The shim's own id: letters, digits, ``_ . -``."""
    datacenter: str
    engine_host: str
    """Where published ports of containers without an address of their own are reached."""
    register: Register = Register.ALL
    checks: Checks = Checks.MESOS

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+", self.owner, re.ASCII):
            raise ValueError(f"owner {self.owner!r} has more than letters, digits, '_', '.', '-'")

    @property
    def prefix(self) -> str:
        """What the id of each of our services starts with."""
        return f"mesos:{self.owner}:"


@dataclass(frozen=True, slots=True)
class Service:
    """One registration, wholly."""

    id: str
    name: str
    address: str
    port: int
    """0: none."""
    tags: tuple[str, ...]
    meta: Mapping[str, str]
    check: Check

    @property
    def check_id(self) -> str:
        return check_id(self.id)

    @property
    def body(self) -> dict[str, Any]:
        """For ``PUT /v1/agent/service/register``."""
        return {
            "ID": self.id,
            "Name": self.name,
            "Address": self.address,
            "Port": self.port,
            "Tags": list(self.tags),
            "Meta": dict(self.meta),
            "Check": {**self.check.fields, "CheckID": self.check_id, "Status": self.check.status},
        }


@dataclass(frozen=True, slots=True)
class Registration:
    """All services of a task, and what its owner should know about them."""

    services: tuple[Service, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    port: Port | None
    address: str
    number: int


def registration(order: Publish, site: ServiceContext) -> Registration:
    """What is to be registered of a running task; nothing when it, or the flag, says so."""
    labels = labels_of(order.task.labels)
    if not is_wanted(labels, site.register):
        return Registration()
    notes: list[str] = []
    places = list(_places(order, site, notes))
    names = port_names(base_name(order.task, labels, notes), [place.port for place in places])
    check = task_check(
        order.task, order.healthy, site.checks, lambda number: _locate(number, order, site)
    )
    meta = meta_of(_own_meta(order, site, check), labels, notes)
    services = tuple(
        Service(
            id=service_prefix(site, order.ref) + _suffix(place.port),
            name=name,
            address=place.address,
            port=place.number,
            tags=tags_of(labels, place.port),
            meta=meta,
            check=check,
        )
        for place, name in zip(places, names, strict=True)
    )
    return Registration(services, tuple(notes))


def agent_service(
    site: ServiceContext, agent_id: str, address: str, port: int, healthy: bool
) -> Service:
    """The agent itself, ``mesos-agent-<datacenter>``."""
    check = ttl_check("Mesos agent", limits.CONSUL_AGENT_TTL, healthy)
    own = {"mesos_agent": agent_id, **_site_meta(site, check)}
    return Service(
        id=f"{site.prefix}agent",
        name=dns_label(f"mesos-agent-{site.datacenter}"),
        address=address,
        port=port,
        tags=("mesos",),
        meta=meta_of(own, {}, []),
        check=check,
    )


def service_prefix(site: ServiceContext, ref: Ref) -> str:
    """What the id of each service of that container starts with."""
    return f"{site.prefix}{ref.name}:"


def check_id(service_id: str) -> str:
    """The id of the one check that each service of ours carries."""
    return f"{service_id}:check"


def _places(order: Publish, site: ServiceContext, notes: list[str]) -> Iterator[_Place]:
    """One for each port; one without a port for a task that has none."""
    ports = task_ports(order.task)
    if len(ports) > limits.CONSUL_PORTS:
        notes.append(f"only the first {limits.CONSUL_PORTS} of {len(ports)} ports are registered")
    if not ports:
        yield _Place(None, order.addresses[0] if order.addresses else site.engine_host, 0)
    for port in ports[: limits.CONSUL_PORTS]:
        if port.labels.get(LABEL, "").lower() in FALSE:
            continue
        place = _reach(port, order, site)
        if place is None:
            notes.append(f"port {port.container} is not published: not registered")
        else:
            yield _Place(port, *place)


def _reach(port: Port, order: Publish, site: ServiceContext) -> tuple[str, int] | None:
    """The container's own address and port, else the published one at the engine's host."""
    if order.addresses:
        place = (order.addresses[0], port.container)
    else:
        place = (site.engine_host, port.host or 0)
    return place if 0 < place[1] <= 65535 else None


def _locate(number: int, order: Publish, site: ServiceContext) -> tuple[str, int] | None:
    """A health check's port, numbered as the task itself sees it."""
    for port in task_ports(order.task):
        if port.container == number:
            return _reach(port, order, site)
    return _reach(Port(number, number), order, site)


def _suffix(port: Port | None) -> str:
    """Tells the services of a task apart and stays while it lives: the port inside."""
    if port is None:
        return "0"
    return f"{port.container}" if port.protocol == "tcp" else f"{port.container}-{port.protocol}"


def _own_meta(order: Publish, site: ServiceContext, check: Check) -> dict[str, str]:
    return {
        "mesos_task": order.ref.key.task_id,
        "mesos_framework": order.ref.key.framework_id,
        "mesos_agent": order.task.slave_id.value,
        "mesos_container": order.ref.name,
        **_site_meta(site, check),
    }


def _site_meta(site: ServiceContext, check: Check) -> dict[str, str]:
    return {OWNER: site.owner, "mesos_datacenter": site.datacenter, REVISION: check.revision}
