"""Parsers of ``--resources``, ``--ports``, ``--attributes`` and ``--domain``. Pure.

Only ``config`` and ``dev.command`` import this package. Begin with ``totals``. A parser raises
ValueError with a reason that names the invalid part.
"""

from shim.config.resources.attributes import (
    domain_at,
    endpoint_attributes,
    parse_attributes,
    parse_domain,
)
from shim.config.resources.totals import (
    TRITON_BUDGET,
    VIRTUAL_PORTS,
    Ports,
    complete,
    default_resources,
    parse_ports,
    parse_resources,
    role,
)
from shim.config.resources.value_parsers import Ranges

__all__ = [
    "TRITON_BUDGET",
    "VIRTUAL_PORTS",
    "Ports",
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
