"""``mesos-shim run``: an ordinary Mesos framework on the command line.

Only ``cli`` imports this package. It connects to any master through an unmodified pymesos. It
imports of the shim only ``errors``, and from ``client`` how files are read, how TLS is spoken and
how tasks are shown. Begin with ``command``. ``runner`` holds the scheduler, ``driver`` what links
it to a master, ``task_spec`` the TaskInfo, ``tracker`` the states, ``stages`` the progress of
launches, ``logs`` the output of ``--follow``.
"""

from shim.run.command import add_arguments, main

__all__ = ["add_arguments", "main"]
