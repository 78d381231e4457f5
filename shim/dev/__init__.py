"""``mesos-shim dev``: an embedded master and the agent in one process, for one machine.

Only ``cli`` imports this package. Begin with ``command``; ``master`` holds the embedded master.
``command`` imports ``agent``, ``config`` and ``telemetry``; ``master`` imports ``wire``.
"""
