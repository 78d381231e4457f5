"""Triton: the Docker API of a whole datacenter, where it differs from a Docker Engine.

Imports ``engine.api``, ``engine.client`` and the common packages. Imported by ``engine.connect``,
``agent``, ``check`` and ``certs``. Begin with ``engine.py``; ``README.md`` here is for operators.
"""

from shim.engine.triton.engine import TritonEngine, is_triton

__all__ = ["TritonEngine", "is_triton"]
