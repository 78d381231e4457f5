"""``mesos-shim check``: tests everything that the agent depends on, without side effects.

Only ``cli`` imports this package. Begin with ``command``, which lists the checks; ``probes`` and
``master_probe`` carry them out; ``report`` prints the results.
"""

from shim.check.command import main

__all__ = ["main"]
