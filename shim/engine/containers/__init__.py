"""Containers of tasks, from the order to launch one until it is removed for certain.

This package knows tasks by their orders and engines by :class:`shim.engine.api.Engine`. The agent
hands it orders and takes its facts; nothing else imports it.

Begin with ``containerizer``, which routes the orders. ``worker_table`` holds the life of a launch
as a table, ``worker`` and ``launch`` act on it. ``launch_queue`` admits launches, ``watcher``
learns of the ends of running containers.
"""
