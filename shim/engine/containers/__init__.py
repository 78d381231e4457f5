"""Containers of tasks, from the order to launch one until it is removed for certain.

This package knows tasks by their orders and engines by :class:`shim.engine.api.Engine`. It imports
the common packages, ``engine.api``, ``engine.client`` (``retry``, ``pacing``),
``engine.images.puller`` and ``engine.mapping.command``. The agent hands it orders and takes its
facts; ``telemetry.catalogue`` reads its counters.

Begin with ``containerizer``, which routes the orders. ``worker_table`` holds the life of a launch
as a table, ``worker`` and ``launch`` act on it. ``launch_queue`` admits launches, ``watcher``
detects the ends of running containers.
"""
