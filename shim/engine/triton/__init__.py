"""Triton: the Docker API of a whole datacenter, where it differs from a Docker Engine."""

from shim.engine.triton.engine import TritonEngine, is_triton

__all__ = ["TritonEngine", "is_triton"]
