"""Metrics as text for Prometheus, a part at a time: thousands of lines are tens of milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from shim.http.time_slicer import TimeSlice

_END = b"# EOF\n"
"""The last line in the format of OpenMetrics."""
_SAMPLES = 100
"""That are encoded at once: about half a millisecond."""
_PLAIN = frozenset({"gauge", "counter"})
"""Types whose samples are independent of one another."""


async def exposition(
    families: Iterable[Metric], accept: str, time_slice: TimeSlice
) -> tuple[bytes, str]:
    """Body and content type for a request with this ``Accept`` header."""
    encode, content_type = choose_encoder(accept)
    texts: list[bytes] = []
    ends = False
    for family in families:
        for number, part in enumerate(_parts(family)):
            await time_slice.checkpoint()
            text = encode(_registry_of(part))
            ends = ends or text.endswith(_END)
            text = text.removesuffix(_END)
            texts.append(_without_head(text) if number else text)
    return b"".join(texts) + (_END if ends else b""), content_type


def _parts(family: Metric) -> Iterator[Metric]:
    if family.type not in _PLAIN or len(family.samples) <= _SAMPLES:
        yield family
        return
    for start in range(0, len(family.samples), _SAMPLES):
        part = Metric(family.name, family.documentation, family.type, family.unit)
        part.samples = family.samples[start : start + _SAMPLES]
        yield part


def _without_head(text: bytes) -> bytes:
    """Without the lines of help and type, which stand before the first part."""
    while text.startswith(b"# "):
        text = text.partition(b"\n")[2]
    return text


def _registry_of(family: Metric) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(family))
    return registry


class _Collector:
    """A Prometheus collector of one family that is complete."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)
