"""What the shim says of itself: a log without secrets, and metrics for Prometheus."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TextIO

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

HIDDEN = "***"
_SHORTEST = 4
"""A shorter secret is part of too many words, and guessed at once anyway."""

_PATTERNS = (
    (re.compile(r"(\w://)[^\s/@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=._~-]{8,}"), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"(?i)([\"']?\b(?:x-consul-token|x-registry-auth|authorization|identitytoken"
            r"|secret|password|passphrase|token)[\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;}]+)"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*KEY-----|$)", re.DOTALL),
        HIDDEN,
    ),
)


class Redactor:
    """Takes secrets out of a text: the known ones, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {re.escape(secret) for secret in secrets if len(secret) >= _SHORTEST}
        ordered = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(ordered)) if ordered else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


class TextFormatter(logging.Formatter):
    """One line a message: a container's own words cannot pretend to be a line of ours."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        message = "".join(map(_visible, record.getMessage()))
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return self._redact(line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, ``error``."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        if record.exc_info:
            entry["error"] = self._redact(self.formatException(record.exc_info))
        return json.dumps(entry)


def start_logging(
    level: str, form: str, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """The root logger writes to ``stream`` (stderr), ``form`` being ``text`` or ``json``.

    Libraries that are chatty at ``info`` are heard from ``warning`` on, unless ``level`` is debug.
    """
    redact = Redactor(secrets)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(redact) if form == "json" else TextFormatter(redact))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    quiet = logging.NOTSET if level == "debug" else logging.WARNING
    for name in ("aiohttp.access", "asyncio", "kazoo", "urllib3"):
        logging.getLogger(name).setLevel(quiet)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()


# --- metrics --------------------------------------------------------------------------------

LAUNCH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""A local engine starts a container in tens of milliseconds; Triton provisions for minutes."""

Read = Callable[[], float]
ReadMany = Callable[[], Mapping[str, float]]


class Metrics:
    """The registry behind ``/metrics``. Figures that others keep are read when it is asked."""

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
            "Calls to the Docker endpoint; outcome is ok or the class of the error",
            ["call", "outcome"],
            buckets=LAUNCH_BUCKETS,
            registry=self.registry,
        )
        self._reader = _Reader()
        self.registry.register(self._reader)

    def gauge(self, name: str, text: str, read: Read) -> None:
        """A figure that goes up and down, ``mesos_shim_<name>``."""
        self._reader.add(lambda: GaugeMetricFamily(f"mesos_shim_{name}", text, value=read()))

    def counter(self, name: str, text: str, read: Read) -> None:
        """A figure that only grows, ``mesos_shim_<name>_total``."""
        self._reader.add(lambda: CounterMetricFamily(f"mesos_shim_{name}", text, value=read()))

    def gauges(self, name: str, text: str, label: str, read: ReadMany) -> None:
        """One figure for each value of ``label``."""
        self._reader.add(lambda: _many(GaugeMetricFamily, name, text, label, read()))

    def counters(self, name: str, text: str, label: str, read: ReadMany) -> None:
        """One growing figure for each value of ``label``."""
        self._reader.add(lambda: _many(CounterMetricFamily, name, text, label, read()))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Body and content type of an answer to a request with this ``Accept`` header."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _Reader:
    """A collector of families that are made when somebody asks."""

    def __init__(self) -> None:
        self._families: list[Callable[[], Metric]] = []

    def add(self, family: Callable[[], Metric]) -> None:
        self._families.append(family)

    def describe(self) -> Iterable[Metric]:
        """Nothing: reading the figures at registration would be too early."""
        return ()

    def collect(self) -> Iterator[Metric]:
        return (family() for family in self._families)


def _many(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    text: str,
    label: str,
    values: Mapping[str, float],
) -> Metric:
    family = kind(f"mesos_shim_{name}", text, labels=[label])
    for value, figure in values.items():
        family.add_metric([value], figure)
    return family
