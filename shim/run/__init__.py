"""``mesos-shim run``: an ordinary framework, for people and for the demo.

It speaks to any master through pymesos, and knows nothing of the rest of the shim.
"""

from shim.run.command import add_arguments, main

__all__ = ["add_arguments", "main"]
