"""Which tasks are registered, and under which names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from shim.discovery.config import Register
from shim.discovery.ports import Port
from shim.protos.mesos_pb2 import TaskInfo

LABEL = "consul"
"""On a task or a discovery port: a name, ``true``, or ``false`` to stay out."""

NAME_LENGTH = 63
TRUE = frozenset({"", "true", "yes", "1"})
FALSE = frozenset({"false", "no", "0"})


def dns_label(text: str, length: int = NAME_LENGTH) -> str:
    """``text`` as a label of a DNS name, at most ``length`` long; ``task`` if none is left."""
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return label[:length].rstrip("-") or "task"


def is_wanted(labels: Mapping[str, str], register: Register) -> bool:
    """Whether the task with these labels is to be registered."""
    if register is Register.NONE or labels.get(LABEL, "").lower() in FALSE:
        return False
    return register is Register.ALL or LABEL in labels


def base_name(task: TaskInfo, labels: Mapping[str, str], notes: list[str]) -> str:
    """From label, DiscoveryInfo or the task's name; a change is noted."""
    told = labels.get(LABEL, "")
    name = told if told.lower() not in TRUE else task.discovery.name or task.name
    label = dns_label(name)
    if label != name:
        notes.append(f"name {name!r} is registered as {label!r}, which DNS can find")
    return label


def port_names(base: str, ports: list[Port | None]) -> list[str]:
    """The first port has the plain name; a further one its own name, or its rank, behind it."""
    names = []
    for rank, port in enumerate(ports, 1):
        told = port.labels.get(LABEL, "") if port else ""
        if port is None or (rank == 1 and told.lower() in TRUE):
            names.append(base)
        elif told.lower() not in TRUE:
            names.append(dns_label(told))
        else:
            suffix = f"-{dns_label(port.name or f'port{rank}', NAME_LENGTH // 2)}"
            names.append(dns_label(base, NAME_LENGTH - len(suffix)) + suffix)
    return names
