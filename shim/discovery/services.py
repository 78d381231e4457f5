"""The Consul services of a running task, and of the agent. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shim import limits
from shim.discovery.service_checks import ConsulCheck, task_check, ttl_check
from shim.discovery.service_names import (
    FALSE,
    LABEL,
    TRUE,
    base_name,
    distinct_label,
    dns_label,
    is_registered,
    pod_member,
    port_names,
)
from shim.discovery.tags import OWNER, REVISION, meta_of, tags_of
from shim.discovery.task_ports import TaskPort, labels_of, task_ports
from shim.model.container import Ref
from shim.model.orders import Publish
from shim.model.settings import CheckMode, RegisterMode


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The owner of the services, its location, and the rules of registration."""

    owner: str
    """The ``--shim_id``: letters, digits, ``_ . -``."""
    datacenter: str
    engine_host: str
    """The address of the engine's host, where published ports are reached."""
    register: RegisterMode = RegisterMode.ALL
    checks: CheckMode = CheckMode.MESOS

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+", self.owner, re.ASCII):
            raise ValueError(f"owner {self.owner!r} has more than letters, digits, '_', '.', '-'")

    @property
    def prefix(self) -> str:
        """The prefix of the id of every managed service."""
        return f"mesos:{self.owner}:"


@dataclass(frozen=True, slots=True)
class Service:
    """One complete service registration."""

    id: str
    name: str
    address: str
    port: int
    """0 when the service has no port."""
    tags: tuple[str, ...]
    meta: Mapping[str, str]
    check: ConsulCheck

    @property
    def check_id(self) -> str:
        return check_id(self.id)

    @property
    def body(self) -> dict[str, Any]:
        """The JSON for ``PUT /v1/agent/service/register``."""
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
class TaskServices:
    """All services of a task, and notes for the log."""

    services: tuple[Service, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _ServiceAddress:
    task_port: TaskPort | None
    host: str
    port: int


def task_services(order: Publish, context: ServiceContext) -> TaskServices:
    """The services of a running task; none when its label or ``--consul_register`` opts out."""
    in_pod = order.shares_network and not order.inside
    own = labels_of(order.task.labels)
    of_pod = labels_of(order.task.executor.labels)
    labels = {**of_pod, **own}
    if not is_registered(labels, context.register):
        return TaskServices()
    notes: list[str] = []
    addresses = list(_addresses(order, context, notes))
    ports = [address.task_port for address in addresses]
    base = base_name(order.task, labels, notes)
    member = None
    if in_pod and own.get(LABEL, "").lower() in TRUE:
        member = pod_member(order.task, base, of_pod.get(LABEL, ""))
    names = port_names(base, ports, member)
    check = task_check(
        order.task,
        order.healthy,
        context.checks,
        lambda number: _resolve_port(number, order, context),
    )
    meta = meta_of(_task_meta(order, context, check), labels, notes)
    services = tuple(
        Service(
            id=service_prefix(context, order.ref, inside=order.inside)
            + _id_suffix(address.task_port),
            name=name,
            address=address.host,
            port=address.port,
            tags=tags_of(labels, address.task_port),
            meta=meta,
            check=check,
        )
        for address, name in zip(addresses, names, strict=True)
    )
    return TaskServices(services, tuple(notes))


def agent_service(
    context: ServiceContext, agent_id: str, address: str, port: int, healthy: bool
) -> Service:
    """The service of the agent itself, ``mesos-agent-<datacenter>``."""
    check = ttl_check("Mesos agent", limits.CONSUL_AGENT_TTL, healthy)
    own = {"mesos_agent": agent_id, **_context_meta(context, check)}
    return Service(
        id=f"{context.prefix}agent",
        name=_agent_name(context.datacenter),
        address=address,
        port=port,
        tags=("mesos",),
        meta=meta_of(own, {}, []),
        check=check,
    )


def _agent_name(datacenter: str) -> str:
    label = dns_label(f"mesos-agent-{datacenter}")
    if datacenter and not dns_label(datacenter):
        return distinct_label(label, datacenter)
    return label


def service_prefix(context: ServiceContext, ref: Ref, *, inside: bool) -> str:
    """The prefix of the id of every service of one task.

    ``inside``: its container may have other tasks. A hash stands for the task's id, which may have
    any characters.
    """
    prefix = f"{context.prefix}{ref.name}:"
    if not inside:
        return prefix
    return f"{prefix}{hashlib.sha256(ref.task_key.task_id.encode()).hexdigest()[:16]}:"


def check_id(service_id: str) -> str:
    """The id of the check of a managed service."""
    return f"{service_id}:check"


def _addresses(
    order: Publish, context: ServiceContext, notes: list[str]
) -> Iterator[_ServiceAddress]:
    """One address for each port; one without a port for a task that has no ports."""
    ports = _ports_of(order)
    if len(ports) > limits.CONSUL_PORTS:
        notes.append(f"only the first {limits.CONSUL_PORTS} of {len(ports)} ports are registered")
    if not ports:
        host = order.addresses[0] if order.addresses else context.engine_host
        yield _ServiceAddress(None, host, 0)
    for port in ports[: limits.CONSUL_PORTS]:
        if port.labels.get(LABEL, "").lower() in FALSE:
            continue
        address = _port_address(port, order, context)
        if address is None:
            notes.append(f"port {port.container} is not published: not registered")
        else:
            yield _ServiceAddress(port, *address)


def _ports_of(order: Publish) -> tuple[TaskPort, ...]:
    return task_ports(order.task, order.ports, shares_network=order.shares_network)


def _port_address(
    port: TaskPort, order: Publish, context: ServiceContext
) -> tuple[str, int] | None:
    """The container's own address and port, else the published port of the engine's host."""
    if order.addresses:
        address = (order.addresses[0], port.container)
    else:
        address = (context.engine_host, port.host or 0)
    return address if 0 < address[1] <= 65535 else None


def _resolve_port(number: int, order: Publish, context: ServiceContext) -> tuple[str, int] | None:
    """The address of a health check's port, which is a container port."""
    for port in _ports_of(order):
        if port.container == number:
            return _port_address(port, order, context)
    return _port_address(TaskPort(number, number), order, context)


def _id_suffix(port: TaskPort | None) -> str:
    """The container port: unique within a task, and constant during its life."""
    if port is None:
        return "0"
    return f"{port.container}" if port.protocol == "tcp" else f"{port.container}-{port.protocol}"


def _task_meta(order: Publish, context: ServiceContext, check: ConsulCheck) -> dict[str, str]:
    return {
        "mesos_task": order.ref.task_key.task_id,
        "mesos_framework": order.ref.key.framework_id,
        "mesos_agent": order.task.slave_id.value,
        "mesos_container": order.ref.name,
        **_context_meta(context, check),
    }


def _context_meta(context: ServiceContext, check: ConsulCheck) -> dict[str, str]:
    return {OWNER: context.owner, "mesos_datacenter": context.datacenter, REVISION: check.revision}
