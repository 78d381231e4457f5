"""``mesos-shim run``: an ordinary Mesos framework on the command line.

Only ``cli`` imports this package. It connects to any master through an unmodified pymesos, and it
imports of the shim only ``errors`` and what TLS needs. Begin with ``command``; ``runner`` holds the
scheduler, ``task_spec`` the TaskInfo, ``tracker`` the states, ``logs`` the output of ``--follow``.
"""

from shim.run.command import add_arguments, main

__all__ = ["add_arguments", "main"]
