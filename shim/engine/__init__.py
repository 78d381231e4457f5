"""Docker endpoints, and everything the agent does with them.

This package knows nothing of Mesos but TaskInfo, orders and facts. The agent wires it; ``config``
and ``check`` use its parsers and clients. It imports the model and no other package.

Begin with ``api``: what every engine can do. ``docker`` and ``triton.engine`` are the two engines.
``mapping`` makes a container of a TaskInfo, ``containers`` brings it up and watches it, and
``fetch``, ``images``, ``checks`` and ``sandbox`` do what a Mesos agent does around a container.
"""
