"""Metrics encoded in parts are what the library makes of them at once."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily

from shim.http.exposition import exposition
from shim.http.time_slicer import TimeSlicer


class Launches:
    def collect(self) -> list[CounterMetricFamily]:
        family = CounterMetricFamily("launches", "Of a\ntask", labels=["task"])
        for number in range(250):
            family.add_metric([f"# {number}\n"], number)
        return [family]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
async def test_the_parts_together_are_the_whole(accept: str, content_type: str) -> None:
    registry = CollectorRegistry()
    Gauge("one", "A gauge", registry=registry).set(2.5)
    Histogram("took", "Seconds", ["stage"], registry=registry).labels("pull").observe(1.0)
    registry.register(Launches())
    encode, _ = choose_encoder(accept)
    turns: list[float] = []

    def clock() -> float:
        turns.append(0.0)
        return float(len(turns))

    body, found = await exposition(registry.collect(), accept, TimeSlicer(clock).begin())
    assert found.startswith(content_type)
    assert body == encode(registry)
    assert len(turns) > 5, "the loop is given away between parts"
