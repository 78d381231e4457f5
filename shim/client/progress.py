"""Launches under way: a bar for each at the bottom of a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO

from shim.client.text import age, padded, printable, shortened
from shim.client.text import width as text_width

BARS = 8
"""At most so many launches have a bar; the others are counted."""

WIDTH = 20
"""Characters of a full bar."""

QUIET = 10.0
"""Seconds between two lines about one step of a launch, where there are no bars."""

_MEGABYTES = re.compile(r"([\d.]+) of ([\d.]+) MB")
_LAYERS = re.compile(r"(\d+) of (\d+) layers")
_NUMBER = re.compile(r"[\d.]+")


def fraction(stage: str) -> float | None:
    """How much of a stage is done, by its bytes, else by its layers; None where it does not say."""
    found = _MEGABYTES.search(stage) or _LAYERS.search(stage)
    if found is None or not (whole := float(found[2])):
        return None
    return min(1.0, float(found[1]) / whole)


def step(stage: str) -> str:
    """The stage without its numbers: what the launch does, and not how far it has come."""
    return _NUMBER.sub("", stage)


def bar(stage: str) -> str:
    """``[#####---------------]  25 %``; empty where the stage does not say how much is done."""
    done = fraction(stage)
    if done is None:
        return ""
    full = round(done * WIDTH)
    return f"[{'#' * full}{'-' * (WIDTH - full)}] {done * 100:3.0f} %"


@dataclass(slots=True)
class _Launch:
    stage: str
    begun: float
    said: float


def can_move(output: TextIO) -> bool:
    """Whether the cursor can be moved back: on a terminal that is not ``dumb``."""
    return output.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Progress:
    """Shows the stages of launches on ``output``. Other lines have to be printed by it as well."""

    def __init__(
        self,
        output: TextIO,
        clock: Callable[[], float] = time.monotonic,
        has_bars: bool | None = None,
    ) -> None:
        """``has_bars`` None: on a terminal."""
        self._output = output
        self._clock = clock
        self._launches: dict[str, _Launch] = {}
        self._drawn = 0
        """Lines of bars that are on the terminal."""
        self.has_bars = can_move(output) if has_bars is None else has_bars

    def update(self, name: str, stage: str) -> None:
        """The stage of a launch; empty: the launch is over."""
        now, known = self._clock(), self._launches.get(name)
        if not stage:
            self._launches.pop(name, None)
        elif known is None:
            self._launches[name] = _Launch(stage, now, now)
            self._say(name, stage)
        elif known.stage != stage:
            same_step = step(known.stage) == step(stage)
            known.stage = stage
            if not same_step or now - known.said >= QUIET:
                known.said = now
                self._say(name, stage)

    def _say(self, name: str, stage: str) -> None:
        if not self.has_bars:
            print(printable(f"{name} {stage}"), file=self._output, flush=True)

    def print(self, line: str) -> None:
        """A line, or several, above the bars."""
        self._clear()
        for each in line.split("\n"):
            print(printable(each), file=self._output)
        self._output.flush()
        self.draw()

    def draw(self) -> None:
        """The bars as they are now; nothing where there are none."""
        if not self.has_bars:
            return
        self._clear()
        size = shutil.get_terminal_size()
        # Bars beyond the top of the terminal could not be taken off again.
        lines = list(self._lines(size.columns - 1))[: max(1, size.lines - 1)]
        self._output.write("".join(f"{line}\n" for line in lines))
        self._output.flush()
        self._drawn = len(lines)

    def hide(self) -> None:
        """Take the bars off the terminal until they are drawn again: others write to it."""
        self._clear()
        self._output.flush()

    def close(self) -> None:
        self._launches.clear()
        self.hide()

    def _clear(self) -> None:
        if self._drawn:
            self._output.write(f"\x1b[{self._drawn}A\r\x1b[J")
            self._drawn = 0

    def _lines(self, width: int) -> Iterator[str]:
        now, shown = self._clock(), list(self._launches.items())[:BARS]
        widest = max((text_width(name) for name, _ in shown), default=0)
        for name, launch in shown:
            since = age(now - launch.begun)
            parts = (padded(name, widest), bar(launch.stage), launch.stage, since)
            yield shortened(printable("  ".join(filter(None, parts))), width)
        if len(self._launches) > BARS:
            yield f"and {len(self._launches) - BARS} more launches"[:width]
