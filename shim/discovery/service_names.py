"""Which tasks are registered in Consul, and under which service names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from shim.discovery.task_ports import TaskPort
from shim.model.settings import RegisterMode
from shim.protos.mesos_pb2 import TaskInfo

LABEL = "consul"
"""The label of a task or discovery port: a service name, ``true``, or ``false`` to opt out."""

NAME_LENGTH = 63
"""The longest label of a DNS name."""
TRUE = frozenset({"", "true", "yes", "1"})
FALSE = frozenset({"false", "no", "0"})


def dns_label(text: str, length: int = NAME_LENGTH) -> str:
    """``text`` as a DNS label of at most ``length`` characters; ``task`` when nothing is left."""
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return label[:length].rstrip("-") or "task"


def is_registered(labels: Mapping[str, str], mode: RegisterMode) -> bool:
    """Whether a task with these labels is registered."""
    if mode is RegisterMode.NONE or labels.get(LABEL, "").lower() in FALSE:
        return False
    return mode is RegisterMode.ALL or LABEL in labels


def base_name(task: TaskInfo, labels: Mapping[str, str], notes: list[str]) -> str:
    """The service name: the label, else DiscoveryInfo's name, else the task's name.

    Appends a note when the name had to be changed to be a DNS label.
    """
    label_value = labels.get(LABEL, "")
    name = label_value if label_value.lower() not in TRUE else task.discovery.name or task.name
    label = dns_label(name)
    if label != name:
        notes.append(f"name {name!r} is registered as {label!r}, which DNS can find")
    return label


def port_names(base: str, ports: list[TaskPort | None]) -> list[str]:
    """The service name of each port.

    The first port has the plain name. A further port has its own name, or its rank, appended.
    """
    names = []
    for rank, port in enumerate(ports, 1):
        label_value = port.labels.get(LABEL, "") if port else ""
        if port is None or (rank == 1 and label_value.lower() in TRUE):
            names.append(base)
        elif label_value.lower() not in TRUE:
            names.append(dns_label(label_value))
        else:
            suffix = f"-{dns_label(port.name or f'port{rank}', NAME_LENGTH // 2)}"
            names.append(dns_label(base, NAME_LENGTH - len(suffix)) + suffix)
    return names
