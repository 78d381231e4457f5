"""``--attributes`` and ``--domain``, by which frameworks choose agents."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shim.config.resources.value_parsers import NUMBER, fill, parse_json, parse_ranges
from shim.protos.mesos_pb2 import Attribute, DomainInfo, Value


def parse_attributes(text: str) -> tuple[Attribute, ...]:
    """``rack:r1;level:10;keys:[1-5]``: a value is a number, ranges, or else text."""
    return tuple(_attribute(entry) for entry in text.split(";") if entry.strip())


def endpoint_attributes(
    given: Sequence[Attribute], datacenter: str, engine: str
) -> list[Attribute]:
    """``given``, plus ``datacenter`` and ``engine`` unless they are given."""
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
        raise ValueError(f"{name}: a set, which masters reject as an attribute")
    elif NUMBER.fullmatch(value) and math.isfinite(float(value)):
        attribute.type = Value.SCALAR
        attribute.scalar.value = round(float(value), 3)
    else:
        attribute.type = Value.TEXT
        attribute.text.value = value
    return attribute


ENDPOINT_ZONE = "/endpoint"


def parse_domain(text: str) -> DomainInfo:
    """``{"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}``.

    Or ``REGION/endpoint``: without a zone, which :func:`domain_at` adds.
    """
    domain = DomainInfo()
    region, slash, _ = text.strip().rpartition(ENDPOINT_ZONE)
    if slash and text.strip().endswith(slash) and not region.startswith("{"):
        if not region:
            raise ValueError("needs a region: REGION/endpoint")
        domain.fault_domain.region.name = region
        return domain
    fill(parse_json(text), domain)
    fault = domain.fault_domain
    if not (fault.region.name and fault.zone.name):
        raise ValueError("needs fault_domain.region.name and fault_domain.zone.name")
    return domain


def domain_at(domain: DomainInfo | None, datacenter: str) -> DomainInfo | None:
    """The domain to register. A missing zone is the endpoint's datacenter.

    Raises ValueError for a missing zone and an endpoint without a name.
    """
    if domain is None or domain.fault_domain.HasField("zone"):
        return domain
    if not datacenter:
        region = domain.fault_domain.region.name
        text = "the Docker endpoint does not report its name: give the zone as well, in JSON"
        raise ValueError(f"{region}{ENDPOINT_ZONE}: {text}")
    complete = DomainInfo()
    complete.CopyFrom(domain)
    complete.fault_domain.zone.name = datacenter
    return complete
