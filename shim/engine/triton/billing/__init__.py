"""What the containers of a datacenter cost: machine-seconds and, with prices, money.

Imports ``engine.triton`` and ``telemetry``; imported by ``agent`` alone. Begin with
``usage_meter.py``, which is pure; ``exporter.py`` feeds it and shows its sums.
"""
