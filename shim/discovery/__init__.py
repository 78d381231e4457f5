"""Service discovery with Consul: registers running tasks, and finds the leading master.

``agent``, ``check`` and ``telemetry.catalogue`` import this package. It imports the common
packages, ``engine.mapping.values`` (in ``task_ports``) and ``wire`` (in ``master_detector``).
Begin with ``sync``: :class:`ConsulSync` receives the agent's orders. ``services`` (with
``task_ports``, ``service_names``, ``service_checks`` and ``tags``) decides what to register for a
task. ``desired_state`` compares that with what Consul holds. ``consul_client`` and
``consul_transport`` make the HTTP calls. ``consul_detector`` serves ``--master=consul://``;
``master_detector`` chooses the detector for each form of ``--master``.
"""
