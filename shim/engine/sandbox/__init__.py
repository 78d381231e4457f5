"""Sandboxes of tasks without a directory on the engine's host.

- ``store``: stdout and stderr of every task, on the agent's disk, bounded in size and age.
- ``follower``, ``buffer``, ``output_file``: from the log of one container to files on disk.
- ``container_files``: other files of a sandbox, fetched out of a running container.
- ``sampler``: CPU, memory and network usage of running containers.

All of them work only while a client reads. The package imports model, errors, limits,
``engine.api`` and ``engine.client``. The agent's HTTP service imports it. Begin to read at
``store``.
"""
