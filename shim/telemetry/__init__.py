"""What the agent reports about itself: its log, and metrics for Prometheus.

``log`` and ``metrics`` import no other package; every command may use them. ``launch_stats`` reads
facts and orders of the model. ``catalogue`` alone looks at the running services: it maps their
counters to the names below ``/metrics``, and only ``agent.wiring`` imports it. Begin with
``catalogue``.
"""
