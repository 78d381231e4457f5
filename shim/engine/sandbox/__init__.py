"""Sandboxes of tasks without a directory on the engine's host.

- ``store``: stdout and stderr of every task, on the agent's disk, bounded in size and age.
- ``follower``, ``buffer``, ``output_file``: from the log of one container to files on disk.
- ``container_files``: other files of a sandbox, fetched out of a running container.
- ``sampler``: CPU, memory and network usage of running containers.

Logs are followed and usage is sampled only while a client reads. The store also collects the final
logs of ended containers, and sweeps its directories: ``limits.SANDBOX_AGE`` and the other SANDBOX
bounds say how long output is kept.

The package imports model, errors, limits, ``engine.api`` and ``engine.client``. The agent and
``telemetry.catalogue`` import it. Begin to read at ``store``.
"""
