"""Docker endpoints, and everything the agent does with them.

Of Mesos this package knows only TaskInfo, orders and facts. It imports the common packages;
``triton.billing`` also imports ``telemetry.metrics``. The agent wires it. ``certs``, ``check``,
``config``, ``discovery`` and ``telemetry`` use its parsers, its clients and its counters.

Begin with ``api``: what every engine can do. ``docker`` and ``triton.engine`` are the two engines.
``mapping`` makes a container of a TaskInfo, ``containers`` brings it up and watches it, and
``fetch``, ``images``, ``checks`` and ``sandbox`` do what a Mesos agent does around a container.
"""
