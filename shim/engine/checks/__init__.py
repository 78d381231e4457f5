"""Health checks and checks of running tasks.

A task's ``health_check`` and ``check`` become probes, made from outside of the container or inside
of it, by the timing rules of a stock agent. Results that Mesos reports become facts
(``HealthReported``, ``CheckReported``).

The package imports model, errors, limits, protos, ``engine.api`` and ``engine.client``. The agent
and ``telemetry.catalogue`` import it. Begin to read at ``checker``, then ``policy`` (what is
reported) and ``probe_route`` (from where a probe is made).
"""
