"""Flags and environment -> one frozen :class:`Config`."""

from shim.config.config import Config
from shim.config.load import load

__all__ = ["Config", "load"]
