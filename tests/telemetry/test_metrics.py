from __future__ import annotations

from prometheus_client import generate_latest

from shim.telemetry.metrics import Metrics


def lines(metrics: Metrics) -> list[str]:
    body = generate_latest(metrics.registry)
    return [line for line in body.decode().splitlines() if not line.startswith("#")]


def test_values_are_read_at_each_request() -> None:
    metrics, values = Metrics(), {"a": 1.0}
    metrics.gauge("unacknowledged", "Updates", lambda: values["a"])
    metrics.counter("launches", "Launches", lambda: values["a"])
    metrics.gauges("queue", "Depths", "queue", lambda: values)
    metrics.counters("ignored", "Messages", "why", lambda: {'b"c': 3.0})
    values["a"] = 2.0
    assert {
        "mesos_shim_unacknowledged 2.0",
        "mesos_shim_launches_total 2.0",
        'mesos_shim_queue{queue="a"} 2.0',
        'mesos_shim_ignored_total{why="b\\"c"} 3.0',
    } <= {*lines(metrics)}


def test_buckets_suit_local_engines_and_triton() -> None:
    metrics = Metrics()
    metrics.launch_seconds.labels("create").observe(0.02)
    metrics.engine_seconds.labels("create", "ok").observe(400)
    found = lines(metrics)
    assert 'mesos_shim_launch_seconds_bucket{le="0.025",stage="create"} 1.0' in found
    assert (
        'mesos_shim_engine_call_seconds_bucket{call="create",le="300.0",outcome="ok"} 0.0' in found
    )
    assert (
        'mesos_shim_engine_call_seconds_bucket{call="create",le="600.0",outcome="ok"} 1.0' in found
    )
