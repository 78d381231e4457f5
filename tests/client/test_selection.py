"""Filters, and the beginning of an id."""

from __future__ import annotations

from typing import Any

import pytest

from shim.client.selection import find_task, matches
from shim.errors import ConfigError, NotFound


def row(task: str, *, id_: str = "", live: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "id": id_ or f"container-of-{task}",
        "task": task,
        "name": "web",
        "framework": "marathon",
        "framework_id": "F1",
        "state": "TASK_RUNNING",
        "image": "nginx:1.25",
        "addresses": ["10.0.0.7"],
        "live": live,
        "accepted": 1.0,
        **more,
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], True),
        (["WEB", "nginx"], True),
        (["state:run"], True),
        (["state:failed"], False),
        (["framework:f1", "is:live"], True),
        (["is:ended"], False),
        (["is:unhealthy"], False),
        (["10.0.0.7"], True),
        (["no:such"], False),
        (["web", "other"], False),
    ],
)
def test_every_word_has_to_fit(words: list[str], expected: bool) -> None:
    assert matches(row("web.1"), words) is expected


ROWS = [
    row("web.1", id_="aaaa-1"),
    row("web.10", id_="aaab-2"),
    row("db", id_="bbbb-3", live=False),
    row("db", id_="bbbc-4", accepted=2.0, live=False),
    row("job", id_="cccc-5", framework_id="F2"),
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("web.1", "aaaa-1"),
        ("web.10", "aaab-2"),
        ("aaab", "aaab-2"),
        ("mesos-cccc", "cccc-5"),
        ("F2/", "cccc-5"),
        ("j", "cccc-5"),
        ("db", "bbbc-4"),
    ],
)
def test_a_task_is_found_by_the_beginning_of_an_id(wanted: str, found: str) -> None:
    assert find_task(ROWS, wanted)["id"] == found


def test_no_task_and_several_tasks() -> None:
    with pytest.raises(NotFound, match="no task's id begins with 'x'"):
        find_task(ROWS, "x")
    with pytest.raises(ConfigError, match=r"'web' is the beginning .*: F1/web\.1, F1/web\.10$"):
        find_task(ROWS, "web")
    many = [row(f"t{n}") for n in range(9)]
    with pytest.raises(ConfigError, match="and 4 more"):
        find_task(many, "t")


def test_a_live_task_counts_before_an_ended_one() -> None:
    assert find_task([*ROWS, row("db", id_="dddd-6", accepted=0.5)], "db")["id"] == "dddd-6"
