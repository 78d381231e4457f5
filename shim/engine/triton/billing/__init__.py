"""What the containers of a datacenter cost: machine-seconds and, with prices, money.

Imports ``engine.triton``, ``telemetry.metrics`` and the common packages; only ``agent``
imports it. Begin with ``usage_meter.py``, which is pure; ``exporter.py`` feeds it and shows its
sums.
"""
