"""Parsers of option values, written as the Docker command line takes them.

- ``scalars``: one value (a boolean, size, duration, number, IP address).
- ``ports``: ports, ranges of ports, published ports.
- ``structured``: values that become an object or a list of the Engine API (mount, ulimit, GPU
  request, network endpoint).

Every parser takes a text and returns what the Engine API takes. A parser raises ValueError with a
reason for the task's status message. The package is pure and imports nothing of shim;
``engine.mapping`` and ``discovery.task_ports`` import it. Begin to read at ``scalars``.
"""
