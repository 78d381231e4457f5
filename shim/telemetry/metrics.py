"""The Prometheus registry behind ``/metrics``. Every name begins with ``mesos_shim_``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

LAUNCH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Seconds. A local engine starts a container in tens of milliseconds; Triton takes minutes."""

Read = Callable[[], float]
ReadMany = Callable[[], Mapping[str, float]]


class Metrics:
    """Two histograms, the process' own metrics, and gauges and counters that others register.

    A gauge or counter is a function. It is called for each request to ``/metrics``.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.launch_seconds = Histogram(
            "mesos_shim_launch_seconds",
            "Time a launch spent in each stage",
            ["stage"],
            buckets=LAUNCH_BUCKETS,
            registry=self.registry,
        )
        self.engine_seconds = Histogram(
            "mesos_shim_engine_call_seconds",
            "Calls to the Docker endpoint by outcome: ok, or the kind of the error "
            "(Unwelcome: access denied, Doubtful: ambiguous, Lost: no answer, Later: in progress)",
            ["call", "outcome"],
            buckets=LAUNCH_BUCKETS,
            registry=self.registry,
        )
        self._collector = _Collector()
        self.registry.register(self._collector)

    def gauge(self, name: str, text: str, read: Read) -> None:
        """Register ``mesos_shim_<name>``, a value that goes up and down."""
        self._collector.add(lambda: GaugeMetricFamily(f"mesos_shim_{name}", text, value=read()))

    def counter(self, name: str, text: str, read: Read) -> None:
        """Register ``mesos_shim_<name>_total``, a value that only grows."""
        self._collector.add(lambda: CounterMetricFamily(f"mesos_shim_{name}", text, value=read()))

    def gauges(self, name: str, text: str, label: str, read: ReadMany) -> None:
        """Register one gauge for each value of ``label``: the keys of what ``read`` returns."""
        self._collector.add(lambda: _labelled(GaugeMetricFamily, name, text, label, read()))

    def counters(self, name: str, text: str, label: str, read: ReadMany) -> None:
        """Register one counter for each value of ``label``: the keys of what ``read`` returns."""
        self._collector.add(lambda: _labelled(CounterMetricFamily, name, text, label, read()))


class _Collector:
    """A Prometheus collector that reads each family when ``/metrics`` is requested."""

    def __init__(self) -> None:
        self._families: list[Callable[[], Metric]] = []

    def add(self, family: Callable[[], Metric]) -> None:
        self._families.append(family)

    def describe(self) -> Iterable[Metric]:
        """Empty: the registry would otherwise read all values at registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        return (family() for family in self._families)


def _labelled(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    text: str,
    label: str,
    values: Mapping[str, float],
) -> Metric:
    family = kind(f"mesos_shim_{name}", text, labels=[label])
    for label_value, value in values.items():
        family.add_metric([label_value], value)
    return family
