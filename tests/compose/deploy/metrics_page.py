"""A page of every metric that the README documents, with values that grow."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

README = Path(__file__).parents[3] / "shim" / "http" / "README.md"
PROCESS = ("process_cpu_seconds_total", "process_resident_memory_bytes")
HISTOGRAMS = ("launch_seconds", "engine_call_seconds")
_NAME = re.compile(r"`([a-z_]+)(?:\{([a-z_,]+)\})?`")


def documented() -> dict[str, tuple[str, ...]]:
    """Labels by name, without the prefix ``mesos_shim_``."""
    text = README.read_text(encoding="utf-8")
    table = text[text.index("## Prometheus metrics") : text.index("### Alarms")]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    found = itertools.chain.from_iterable(map(_NAME.findall, rows))
    return {name: tuple(filter(None, labels.split(","))) for name, labels in found}


def page(scrape: int) -> str:
    """In Prometheus' text format; ``scrape`` counts the requests."""
    return "\n".join(_lines(scrape)) + "\n"


def _lines(scrape: int) -> Iterator[str]:
    for name in PROCESS:
        yield f"{name} {scrape}"
    for name, labels in documented().items():
        values = [f'{label}="{"Lost" if label == "outcome" else "x"}"' for label in labels]
        full, value = f"mesos_shim_{name}", scrape if name.endswith("_total") else 1
        if name not in HISTOGRAMS:
            yield f"{full}{{{','.join(values)}}} {value}"
            continue
        for bound in ("0.1", "+Inf"):
            inside = ",".join([*values, f'le="{bound}"'])
            yield f"{full}_bucket{{{inside}}} {scrape}"
        yield f"{full}_count{{{','.join(values)}}} {scrape}"
        yield f"{full}_sum{{{','.join(values)}}} {scrape / 100}"
