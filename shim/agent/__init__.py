"""One running agent: the process around the core, and everything that the core's orders reach.

Start at ``main``: it listens, waits for the Docker endpoint (``startup``), and creates all services
of a running agent (``wiring``). ``runtime`` is the loop in the middle. It hands facts to the core,
and holds the core's orders behind ``barrier`` until ``journal`` has made their records durable.
``dispatcher`` then passes each order to its service; ``messenger`` is the service for libprocess
messages. ``frontend`` and ``http_service`` answer on the agent's port, and ``supervise`` restarts
background work that fails. A journal in ZooKeeper makes one agent of several machines: begin with
``standby``; README.md says how that is used.

This package imports all others except the commands. Only the commands ``agent`` and ``dev`` start
it; ``telemetry.catalogue`` reads its counters.
"""
