"""Service discovery with Consul: registers running tasks, and finds the leading master.

The agent's wiring and ``mesos-shim check`` import this package; nothing below it does.
Begin with ``sync``: :class:`ConsulSync` receives the agent's orders. ``services`` (with
``task_ports``, ``service_names``, ``service_checks`` and ``tags``) decides what to register for a
task. ``desired_state`` compares that with what Consul holds. ``consul_client`` and
``consul_transport`` make the HTTP calls. ``consul_detector`` serves ``--master=consul://``.
"""
