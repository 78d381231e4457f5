"""TaskInfo -> ContainerSpec: pure and table-driven; ``shim/engine/README.md`` is its table.

Each module holds the rows (``FIELDS``, ``OPTIONS``) of one part of a task beside the code that
carries them out, so that the reference table cannot drift from what is done.
"""

from __future__ import annotations

from shim.engine.mapping.rules import Dns, DnsDefault, Rules, parse_default_container_dns
from shim.engine.mapping.spec import container_spec
from shim.engine.mapping.volumes import SandboxVolume, sandbox_volumes

__all__ = [
    "Dns",
    "DnsDefault",
    "Rules",
    "SandboxVolume",
    "container_spec",
    "parse_default_container_dns",
    "sandbox_volumes",
]
