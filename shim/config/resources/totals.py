"""``--resources`` and ``--ports``: the agent's total resources, as a master accepts them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shim.config.resources.value_parsers import (
    NUMBER,
    UINT64,
    Ranges,
    check_spans,
    fill,
    parse_items,
    parse_json,
    parse_ranges,
)
from shim.model.resources import value_field, value_fields
from shim.model.settings import PortsMode
from shim.model.validation import role_problem
from shim.protos.mesos_pb2 import Resource, Value

SCALARS = ("cpus", "mem", "disk", "gpus")
TRITON_BUDGET = {"cpus": 100.0, "mem": 245_760.0, "disk": 4096.0}
"""A datacenter's size cannot be queried. This is offered unless --resources says otherwise."""

_GB = 1024.0
_UNKNOWN = {"cpus": 1.0, "mem": 1 * _GB, "disk": 10 * _GB}
"""mesos-agent's own defaults, for amounts that the engine does not report."""
_RESERVE = {"mem": 1 * _GB, "disk": 5 * _GB}
"""Kept for the engine's host, but at most half of the amount, as by mesos-agent."""

_ENTRY = re.compile(r"\s*([^\s:;(){}\[\]]+)\s*(?:\(\s*([^\s()]*)\s*\))?\s*:(.*)", re.DOTALL)
_LARGEST = 2.0**53 / 1000
"""The largest double with three exact decimals."""


def parse_resources(text: str, default_role: str = "*") -> list[Resource]:
    """``cpus:4;mem(role):1024;ports:[1-2,5-6];zones:{a,b}`` or mesos-agent's JSON array.

    Entries without a role get ``default_role``. An entry of zero means "none of it":
    :func:`complete` removes it, but adds no default in its place.
    """
    if text.lstrip().startswith("["):
        found = [_from_json(entry, default_role) for entry in _array(text)]
    else:
        found = [_from_text(entry, default_role) for entry in text.split(";") if entry.strip()]
    for resource in found:
        _check(resource)
    _check_kinds(found)
    return found


def default_resources(cpus: float, memory_mb: float, disk_mb: float) -> dict[str, float]:
    """What a local engine's host can offer, in MB. Zero: the engine does not report it."""
    host = {"cpus": cpus, "mem": memory_mb, "disk": disk_mb}
    return {
        name: amount - min(_RESERVE.get(name, 0.0), amount / 2) if amount > 0 else _UNKNOWN[name]
        for name, amount in host.items()
    }


def complete(
    given: Sequence[Resource],
    defaults: Mapping[str, float],
    ports: Ranges,
    default_role: str = "*",
) -> list[Resource]:
    """The total to register: ``given``, defaults for other names, and ports."""
    named = {resource.name for resource in given}
    added = [
        Resource(name=name, type=Value.SCALAR, role=default_role, scalar=_scalar(amount))
        for name, amount in defaults.items()
        if name not in named
    ]
    if ports:
        added.append(_with_ranges(Resource(name="ports", role=default_role), ports))
    return [resource for resource in (*given, *added) if not _is_nothing(resource)]


def role(text: str) -> str:
    """``text``, if a master accepts it as a role. Raises ValueError otherwise."""
    if problem := role_problem(text):
        raise ValueError(problem)
    return text


def _from_text(entry: str, default_role: str) -> Resource:
    found = _ENTRY.fullmatch(entry)
    if not found:
        raise ValueError(f"{entry.strip()!r} is not name:value or name(role):value")
    name, owner, value = found[1], found[2], found[3].strip()
    if owner == "":
        raise ValueError(f"{entry.strip()!r} has an empty role")
    resource = Resource(name=name, role=owner or default_role)
    if value.startswith("["):
        return _with_ranges(resource, parse_ranges(value))
    if value.startswith("{"):
        resource.type = Value.SET
        resource.set.item.extend(parse_items(value))
        return resource
    if not NUMBER.fullmatch(value):
        raise ValueError(f"{name}: {value!r} is not a number, [ranges] or {{set}}")
    resource.type = Value.SCALAR
    resource.scalar.value = float(value)
    return resource


def _array(text: str) -> list[Any]:
    entries = parse_json(text)
    if not isinstance(entries, list):
        raise ValueError("not a JSON array of resources")
    return entries


def _from_json(entry: Any, default_role: str) -> Resource:
    resource = Resource()
    fill(entry, resource)
    if len(resource.reservations) == 1 and resource.reservations[0].type != _DYNAMIC:
        resource.role = resource.reservations[0].role
        del resource.reservations[:]
    if not resource.HasField("role"):
        resource.role = default_role
    return resource


_DYNAMIC = Resource.ReservationInfo.DYNAMIC
_FORBIDDEN_FIELDS = {
    "allocation_info": "an offer allocates, an agent does not",
    "reservation": "dynamic reservations come from the master",
    "revocable": "an agent without an estimator has no revocable resources",
    "shared": "only persistent volumes are shared",
    "provider_id": "the agent has no resource provider",
}


def _check(resource: Resource) -> None:
    name = resource.name
    if not name or len(name) > 255:
        raise ValueError(f"{name!r} is not a name")
    role(resource.role)
    for field, reason in _FORBIDDEN_FIELDS.items():
        if resource.HasField(field):  # type: ignore[arg-type]  # the stub wants literals
            raise ValueError(f"{name}.{field}: {reason}")
    if resource.reservations:
        raise ValueError(f"{name}.reservations: only one, static, without refinement")
    if resource.HasField("disk"):
        _check_disk(resource)
    _check_value(resource)


def _check_disk(resource: Resource) -> None:
    if resource.name != "disk":
        raise ValueError(f"{resource.name}.disk: only for the resource named disk")
    for field in ("persistence", "volume"):
        if resource.disk.HasField(field):
            raise ValueError(f"disk.{field}: persistent volumes come from the master")


def _check_value(resource: Resource) -> None:
    name, kind, given = resource.name, value_field(resource), value_fields(resource)
    if given != [kind]:
        raise ValueError(f"{name}: type {kind.upper()}, but value {' and '.join(given) or 'none'}")
    if kind == "scalar":
        resource.scalar.value = _rounded(name, resource.scalar.value)
        if name == "gpus" and resource.scalar.value % 1:
            raise ValueError(f"gpus: {resource.scalar.value} is not a whole number")
    elif kind == "ranges":
        spans = [(span.begin, span.end) for span in resource.ranges.range]
        check_spans(name, spans, 65535 if name == "ports" else UINT64 - 1)
    elif len({*resource.set.item}) != len(resource.set.item) or not resource.set.item:
        raise ValueError(f"{name}: an empty set, or a duplicate item")
    wanted = {**dict.fromkeys(SCALARS, "scalar"), "ports": "ranges"}.get(name, kind)
    if kind != wanted:
        raise ValueError(f"{name}: {kind}, where a master expects {wanted}")


def _check_kinds(resources: Iterable[Resource]) -> None:
    kinds: dict[str, int] = {}
    for resource in resources:
        if kinds.setdefault(resource.name, resource.type) != resource.type:
            raise ValueError(f"{resource.name}: values of two types")


def _rounded(name: str, value: float) -> float:
    if not 0 <= value <= _LARGEST:
        raise ValueError(f"{name}: {value} is not an amount")
    rounded = round(value, 3)
    if value and not rounded:
        raise ValueError(f"{name}: {value} is zero once rounded to three decimals")
    return rounded


def _is_nothing(resource: Resource) -> bool:
    return resource.type == Value.SCALAR and resource.scalar.value == 0


def _scalar(amount: float) -> Value.Scalar:
    return Value.Scalar(value=round(amount, 3))


def _with_ranges(resource: Resource, spans: Ranges) -> Resource:
    resource.type = Value.RANGES
    for begin, end in spans:
        resource.ranges.range.add(begin=begin, end=end)
    return resource


# --- --ports ----------------------------------------------------------------------------------

VIRTUAL_PORTS: Ranges = ((1, 65535),)


class Ports(NamedTuple):
    """The value of ``--ports``: the meaning of port numbers, and the offered ports."""

    mode: PortsMode
    ranges: Ranges


def parse_ports(text: str) -> Ports:
    """The value of ``--ports``: ``none``, ``virtual`` or ranges within 1-65535."""
    if text in ("none", "virtual"):
        return Ports("virtual", VIRTUAL_PORTS) if text == "virtual" else Ports("none", ())
    if not text.startswith("["):
        raise ValueError(f"{text!r} is not none, virtual or [first-last, ...]")
    spans = parse_ranges(text)
    check_spans("ports", list(spans), 65535)
    if spans[0][0] == 0:
        raise ValueError("port 0 cannot be offered")
    return Ports("real", spans)
