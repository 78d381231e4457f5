"""Maps a TaskInfo to the create request of a container. Pure: tables and functions, no I/O.

Each module maps one part of a task. Its table (``FIELDS``, ``OPTIONS``) stands beside the code that
does the mapping, and ``scripts/mapping-table`` writes all tables into ``shim/engine/README.md``.

The package imports model, errors, protos, ``engine.api`` and ``engine.images``. The agent's wiring,
the fetcher, launches and the flags import it; ``discovery`` imports the parser of ports. Begin to
read at ``spec.container_spec``, then ``spec_builder``. ``options`` holds every option of ``docker
run``, and ``parameters`` applies them to a task.
"""

from __future__ import annotations

from shim.engine.mapping.mapping_settings import (
    Dns,
    DnsDefault,
    MappingSettings,
    parse_default_container_dns,
)
from shim.engine.mapping.spec import container_spec
from shim.engine.mapping.volumes import SandboxVolume, sandbox_volumes

__all__ = [
    "Dns",
    "DnsDefault",
    "MappingSettings",
    "SandboxVolume",
    "container_spec",
    "parse_default_container_dns",
    "sandbox_volumes",
]
