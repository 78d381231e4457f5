from __future__ import annotations

import io
import re

import pytest

from shim.client.progress import BARS, QUIET, Progress, bar, fraction, step
from shim.engine.images.pull_progress import PullProgress
from shim.model.facts import Stage


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def pulling(*pieces: tuple[str, str, int, int]) -> str:
    """The stage that a pull shows after these reports of its engine."""
    progress = PullProgress()
    text = ""
    for layer, status, current, total in pieces:
        detail = {"current": current, "total": total}
        text = progress.update({"id": layer, "status": status, "progressDetail": detail})
    return f"{Stage.PULLING.value} {text}"


@pytest.mark.parametrize(
    ("stage", "done"),
    [
        (pulling(("a", "Downloading", 5_000_000, 20_000_000)), 0.25),
        (pulling(("a", "Already exists", 0, 0), ("b", "Waiting", 0, 0)), 0.5),
        (pulling(("a", "Downloading", 9_000_000, 6_000_000)), 1.0),
        ("pulling image 0 of 0 layers", None),
        ("creating container", None),
        ("", None),
    ],
)
def test_how_much_is_done(stage: str, done: float | None) -> None:
    assert fraction(stage) == done


def test_a_bar() -> None:
    assert bar("x 5.0 of 20.0 MB") == "[#####---------------]  25 %"
    assert bar("creating container") == ""
    assert step("pulling image 1 of 3 layers, 0.5 of 2.5 MB") == step(
        "pulling image 2 of 3 layers, 2.0 of 2.5 MB"
    )


class Screen(io.StringIO):
    """A terminal that knows the two sequences that bars need."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        shown: list[str] = []
        for part in re.split(r"(\x1b\[\d+A\r\x1b\[J)", self.getvalue()):
            if up := re.match(r"\x1b\[(\d+)A", part):
                del shown[-int(up[1]) :]
            else:
                shown += part.splitlines()
        return shown


def test_bars_stay_below_the_lines_and_go_with_their_launches() -> None:
    screen, clock = Screen(), Clock()
    progress = Progress(screen, clock)
    progress.update("web.1", "pulling image 1 of 3 layers, 5.0 of 20.0 MB")
    progress.update("evil\x1b[2J", "creating container")
    clock.now = 35.0
    progress.draw()
    progress.print("batch running")
    progress.update("web.1", "pulling image 1 of 3 layers, 10.0 of 20.0 MB")
    progress.draw()
    assert screen.lines == [
        "batch running",
        "web.1     [##########----------]  50 %  pulling image 1 of 3 layers, 10.0 of 20.0 MB"[:79],
        "evil?[2J  creating container  35 s",
    ]
    progress.update("web.1", "")
    progress.draw()
    assert screen.lines == ["batch running", "evil?[2J  creating container  35 s"]
    progress.close()
    assert screen.lines == ["batch running"]


def test_many_launches_are_counted() -> None:
    screen = Screen()
    progress = Progress(screen)
    for number in range(BARS + 3):
        progress.update(f"web.{number}", "creating container")
    progress.draw()
    assert len(screen.lines) == BARS + 1
    assert screen.lines[-1] == "and 3 more launches"


def test_elsewhere_a_line_for_each_step_and_now_and_then() -> None:
    output, clock = io.StringIO(), Clock()
    progress = Progress(output, clock)
    for second, amount in ((0.0, "1.0"), (1.0, "2.0"), (QUIET, "9.0")):
        clock.now = second
        progress.update("web.1", f"pulling image, {amount} of 20.0 MB")
        progress.draw()
    progress.update("web.1", "creating container")
    progress.update("web.1", "")
    progress.print("web.1 running")
    progress.close()
    assert output.getvalue().splitlines() == [
        "web.1 pulling image, 1.0 of 20.0 MB",
        "web.1 pulling image, 9.0 of 20.0 MB",
        "web.1 creating container",
        "web.1 running",
    ]
