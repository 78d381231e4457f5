"""Which tasks are registered in Consul, and under which service names. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shim.discovery.task_ports import TaskPort, has_own_ports, main_port
from shim.model.settings import RegisterMode
from shim.protos.mesos_pb2 import TaskInfo

LABEL = "consul"
"""The label of a task or discovery port: a service name, ``true``, or ``false`` to opt out."""

NAME_LENGTH = 63
"""The longest label of a DNS name."""
TRUE = frozenset({"", "true", "yes", "1"})
FALSE = frozenset({"false", "no", "0"})


def dns_label(text: str, length: int = NAME_LENGTH) -> str:
    """``text`` as a DNS label of at most ``length`` characters.

    Empty when no letter or digit of ASCII is in the text, for example for ``日本語``.
    """
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return label[:length].rstrip("-")


def distinct_label(prefix: str, text: str) -> str:
    """A DNS label for a text that has none: ``prefix`` and a hash of the text."""
    return f"{prefix}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def is_registered(labels: Mapping[str, str], mode: RegisterMode) -> bool:
    """Whether a task with these labels is registered."""
    if mode is RegisterMode.NONE or labels.get(LABEL, "").lower() in FALSE:
        return False
    return mode is RegisterMode.ALL or LABEL in labels


def base_name(task: TaskInfo, labels: Mapping[str, str], notes: list[str]) -> str:
    """The service name: the label, else DiscoveryInfo's name, the task's name or the task's id.

    A name without a DNS label gives way to the next one, so that different tasks never share a
    constant name. Appends a note when the name had to be changed.
    """
    label_value = labels.get(LABEL, "")
    given = "" if label_value.lower() in TRUE else label_value
    task_id = task.task_id.value
    names = [name for name in (given, task.discovery.name, task.name, task_id) if name]
    usable = [label for name in names if (label := dns_label(name))]
    name, label = names[0], usable[0] if usable else distinct_label("task", task_id)
    if label != name:
        notes.append(f"name {name!r} is registered as {label!r}, which DNS can find")
    return label


@dataclass(frozen=True, slots=True)
class PodMember:
    """A task of a pod whose tasks all have the pod's name: its label, or their DiscoveryInfo's."""

    name: str
    """The task's own name."""
    main: int | None
    """The container port that has the pod's plain name; None: no port has it."""


def pod_member(task: TaskInfo, base: str, label: str) -> PodMember | None:
    """None for a task whose name or ports are its own. ``label`` is the pod's."""
    shared, main = task.discovery.name, main_port(task)
    is_pods = base in (dns_label(label), dns_label(shared)) and not has_own_ports(task)
    if not is_pods or (shared == task.name and main is None):
        return None
    return PodMember(task.name, main)


def port_names(
    base: str, ports: list[TaskPort | None], member: PodMember | None = None
) -> list[str]:
    """The service name of each port.

    The first port has the plain name. A further port has its own name, or its rank, appended.
    In a pod one port of all its tasks has the plain name: clients of one task would else be
    led to the ports of another. Any other port has its own name appended, or the task's name.
    """
    names: list[str] = []
    for rank, port in enumerate(ports, 1):
        label_value = port.labels.get(LABEL, "") if port else ""
        own = "" if label_value.lower() in TRUE else dns_label(label_value)
        if own:
            names.append(own)
        elif member is not None:
            names.append(_pod_name(base, port, rank, member))
        elif port is None or rank == 1:
            names.append(base)
        else:
            names.append(_with_suffix(base, port, rank))
    return names


def _pod_name(base: str, port: TaskPort | None, rank: int, member: PodMember) -> str:
    if port is not None and port.container == member.main:
        return base
    own = dns_label(port.name, NAME_LENGTH // 2) if port else ""
    name = dns_label(member.name, NAME_LENGTH // 2) or distinct_label("task", member.name)
    return _joined(base, own or (name if rank == 1 else f"{name}-port{rank}"))


def _with_suffix(base: str, port: TaskPort, rank: int) -> str:
    """``base`` with the port's name, or with its rank when the name has no DNS label."""
    return _joined(base, dns_label(port.name, NAME_LENGTH // 2) or f"port{rank}")


def _joined(base: str, suffix: str) -> str:
    return f"{dns_label(base, NAME_LENGTH - len(suffix) - 1)}-{suffix}"
