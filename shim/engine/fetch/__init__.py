"""Fetches ``command.uris`` and puts the files into the sandboxes of containers.

The fetcher is a launch hook (``engine.containers.worker_deps``): it downloads before the container
is created and uploads before the container starts.

- ``uris``: checks the URIs of a task.
- ``download``, ``cache``: get them onto the agent's disk.
- ``archive``, ``sandbox_archive``: turn them into the tars that the engine extracts.

The package imports model, errors, limits, protos, ``engine.api``, ``engine.client``,
``engine.images`` and ``engine.mapping``. The agent's wiring imports it. Begin to read at
``fetcher``.
"""
