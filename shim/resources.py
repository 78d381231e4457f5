"""Texts of ``--resources``, ``--attributes``, ``--domain`` and ``--ports`` -> Mesos messages. Pure.

Raises ValueError with a reason that names the part that is wrong.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from google.protobuf import json_format

from shim.protos.mesos_pb2 import Attribute, DomainInfo, Resource, Value

Ranges = tuple[tuple[int, int], ...]

VIRTUAL_PORTS: Ranges = ((1, 65535),)
PortsMode = Literal["none", "virtual", "real"]
SCALARS = ("cpus", "mem", "disk", "gpus")
TRITON_BUDGET = {"cpus": 100.0, "mem": 245_760.0, "disk": 4096.0}
"""Nobody can ask a datacenter how large it is: so much is offered unless --resources says more."""

_GB = 1024.0
_UNKNOWN = {"cpus": 1.0, "mem": 1 * _GB, "disk": 10 * _GB}
"""As mesos-agent's, where the engine does not say."""
_RESERVE = {"mem": 1 * _GB, "disk": 5 * _GB}
"""Left to the engine's host, but never more than half, as mesos-agent does."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_ENTRY = re.compile(r"\s*([^\s:;(){}\[\]]+)\s*(?:\(\s*([^\s()]*)\s*\))?\s*:(.*)", re.DOTALL)
_LARGEST = 2.0**53 / 1000
"""Up to here a double holds three decimals exactly."""
_UINT64 = 2**64


class Ports(NamedTuple):
    """What ``--ports`` says: whether tasks' ports mean anything, and those that are offered."""

    mode: PortsMode
    """No ports, numbers that are never bound, or ports that are bound on the engine's host."""
    ranges: Ranges


# --- resources ------------------------------------------------------------------------------


def parse_resources(text: str, default_role: str = "*") -> list[Resource]:
    """``cpus:4;mem(role):1024;ports:[1-2,5-6];zones:{a,b}`` or mesos-agent's JSON array.

    Entries without a role get ``default_role``. One of exactly zero means "none of it" and is
    kept out of the result only by :func:`complete`, so that no default takes its place.
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
    """What a local engine's host can spare, MB. Zero: the engine does not say."""
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
    """The total to register: ``given``, defaults for what it does not name, and ports."""
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
    """ValueError unless a master takes it for a role; ``a/b`` is below ``a``."""
    parts = text.split("/")
    if text != "*" and (
        any(part in ("", ".", "..", "*") or part.startswith("-") for part in parts)
        or re.search(r"[\s\x00-\x20\x7f\\]", text)
    ):
        raise ValueError(f"{text!r} is not a role")
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
        resource.set.item.extend(_items(value))
        return resource
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"{name}: {value!r} is no number, [ranges] or {{set}}")
    resource.type = Value.SCALAR
    resource.scalar.value = float(value)
    return resource


def _array(text: str) -> list[Any]:
    entries = _json(text)
    if not isinstance(entries, list):
        raise ValueError("not a JSON array of resources")
    return entries


def _from_json(entry: Any, default_role: str) -> Resource:
    resource = Resource()
    _fill(entry, resource)
    if len(resource.reservations) == 1 and resource.reservations[0].type != _DYNAMIC:
        resource.role = resource.reservations[0].role
        del resource.reservations[:]
    if not resource.HasField("role"):
        resource.role = default_role
    return resource


_DYNAMIC = Resource.ReservationInfo.DYNAMIC
_NOT_OURS = {
    "allocation_info": "an offer allocates, an agent does not",
    "reservation": "dynamic reservations come from the master",
    "revocable": "there is nobody who could revoke it",
    "shared": "only persistent volumes are shared",
    "provider_id": "there is no resource provider",
}


def _check(resource: Resource) -> None:
    name = resource.name
    if not name or len(name) > 255:
        raise ValueError(f"{name!r} is not a name")
    role(resource.role)
    for field, reason in _NOT_OURS.items():
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
    name, kind = resource.name, Value.Type.Name(resource.type).lower()
    given = [field for field in ("scalar", "ranges", "set") if resource.HasField(field)]
    if given != [kind]:
        raise ValueError(f"{name}: type {kind.upper()}, but value {' and '.join(given) or 'none'}")
    if kind == "scalar":
        resource.scalar.value = _rounded(name, resource.scalar.value)
        if name == "gpus" and resource.scalar.value % 1:
            raise ValueError(f"gpus: {resource.scalar.value} is not a whole number")
    elif kind == "ranges":
        spans = [(span.begin, span.end) for span in resource.ranges.range]
        _check_spans(name, spans, 65535 if name == "ports" else _UINT64 - 1)
    elif len({*resource.set.item}) != len(resource.set.item) or not resource.set.item:
        raise ValueError(f"{name}: an empty set, or an item that is there twice")
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


# --- ranges ---------------------------------------------------------------------------------


def parse_ranges(text: str) -> Ranges:
    """``[1-2, 5-6]``, sorted; they must not overlap."""
    body = text.strip()
    if not (body.startswith("[") and body.endswith("]")):
        raise ValueError(f"{text!r} is not [first-last, ...]")
    spans = [_span(part) for part in body[1:-1].split(",")]
    return tuple(_check_spans("ranges", spans, _UINT64 - 1))


def _span(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*([0-9]{1,20})\s*(?:-\s*([0-9]{1,20})\s*)?", text)
    if not found:
        raise ValueError(f"{text.strip()!r} is not a range, such as 31000-32000")
    return int(found[1]), int(found[2] or found[1])


def _check_spans(name: str, spans: list[tuple[int, int]], last: int) -> list[tuple[int, int]]:
    ordered = sorted(spans)
    if not ordered:
        raise ValueError(f"{name}: no range")
    for begin, end in ordered:
        if begin > end or end > last:
            raise ValueError(f"{name}: {begin}-{end} is not within 0-{last}, the smaller first")
    for before, after in pairwise(ordered):
        if after[0] <= before[1]:
            raise ValueError(f"{name}: {before[0]}-{before[1]} and {after[0]}-{after[1]} overlap")
    return ordered


def parse_ports(text: str) -> Ports:
    """The value of ``--ports``: ``none``, ``virtual`` or ranges within 1-65535."""
    if text in ("none", "virtual"):
        return Ports("virtual", VIRTUAL_PORTS) if text == "virtual" else Ports("none", ())
    if not text.startswith("["):
        raise ValueError(f"{text!r} is not none, virtual or [first-last, ...]")
    spans = parse_ranges(text)
    _check_spans("ports", list(spans), 65535)
    if spans[0][0] == 0:
        raise ValueError("there is no port 0")
    return Ports("real", spans)


def _with_ranges(resource: Resource, spans: Ranges) -> Resource:
    resource.type = Value.RANGES
    for begin, end in spans:
        resource.ranges.range.add(begin=begin, end=end)
    return resource


def _items(text: str) -> list[str]:
    if not text.endswith("}"):
        raise ValueError(f"{text!r} is not {{item, ...}}")
    items = [item.strip() for item in text[1:-1].split(",")]
    if not all(items):
        raise ValueError(f"{text!r} has an empty item")
    return items


# --- attributes -----------------------------------------------------------------------------


def parse_attributes(text: str) -> tuple[Attribute, ...]:
    """``rack:r1;level:10;keys:[1-5]``: a number, ranges, or else text."""
    return tuple(_attribute(entry) for entry in text.split(";") if entry.strip())


def endpoint_attributes(
    given: Sequence[Attribute], datacenter: str, engine: str
) -> list[Attribute]:
    """``given``, and ``datacenter`` and ``engine`` unless it names them."""
    named = {attribute.name for attribute in given}
    added = [
        Attribute(name=name, type=Value.TEXT, text=Value.Text(value=value))
        for name, value in (("datacenter", datacenter), ("engine", engine))
        if name not in named and value
    ]
    return [*given, *added]


def _attribute(entry: str) -> Attribute:
    name, colon, value = (part.strip() for part in entry.partition(":"))
    if not (name and colon and value):
        raise ValueError(f"{entry.strip()!r} is not name:value")
    attribute = Attribute(name=name)
    if value.startswith("["):
        attribute.type = Value.RANGES
        for begin, end in parse_ranges(value):
            attribute.ranges.range.add(begin=begin, end=end)
    elif value.startswith("{"):
        raise ValueError(f"{name}: a set, which no master takes as an attribute")
    elif _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        attribute.type = Value.SCALAR
        attribute.scalar.value = round(float(value), 3)
    else:
        attribute.type = Value.TEXT
        attribute.text.value = value
    return attribute


# --- domain ---------------------------------------------------------------------------------


def parse_domain(text: str) -> DomainInfo:
    """``{"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}``."""
    domain = DomainInfo()
    _fill(_json(text), domain)
    fault = domain.fault_domain
    if not (fault.region.name and fault.zone.name):
        raise ValueError("needs fault_domain.region.name and fault_domain.zone.name")
    return domain


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None


def _fill(document: Any, message: Resource | DomainInfo) -> None:
    try:
        json_format.ParseDict(document, message)
    except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{message.DESCRIPTOR.name}: {error}") from None
    if not message.IsInitialized():
        missing = message.FindInitializationErrors()  # type: ignore[union-attr]  # no stub
        raise ValueError(f"{message.DESCRIPTOR.name}: {', '.join(missing)} missing")
