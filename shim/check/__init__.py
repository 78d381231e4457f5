"""``mesos-shim check``: tries, harmlessly, everything the agent depends on."""

from shim.check.command import main

__all__ = ["main"]
