"""Texts of ``--resources``, ``--ports``, ``--attributes``, ``--domain`` -> Mesos messages. Pure.

Parsers raise ValueError with a reason that names the part that is wrong.
"""

from shim.config.resources.attributes import (
    domain_at,
    endpoint_attributes,
    parse_attributes,
    parse_domain,
)
from shim.config.resources.ports import VIRTUAL_PORTS, Ports, PortsMode, parse_ports
from shim.config.resources.totals import (
    TRITON_BUDGET,
    complete,
    default_resources,
    parse_resources,
    role,
)
from shim.config.resources.value_parsers import Ranges

__all__ = [
    "TRITON_BUDGET",
    "VIRTUAL_PORTS",
    "Ports",
    "PortsMode",
    "Ranges",
    "complete",
    "default_resources",
    "domain_at",
    "endpoint_attributes",
    "parse_attributes",
    "parse_domain",
    "parse_ports",
    "parse_resources",
    "role",
]
