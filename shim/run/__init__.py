"""``mesos-shim run``: an ordinary Mesos framework on the command line.

Only ``cli`` imports this package. It connects to any master through an unmodified pymesos. It
imports of the shim only ``errors``, and from ``client`` how files are read and how TLS is spoken.
Begin with ``command``; ``runner`` holds the scheduler, ``task_spec`` the TaskInfo, ``tracker`` the
states, ``logs`` the output of ``--follow``.
"""

from shim.run.command import add_arguments, main

__all__ = ["add_arguments", "main"]
