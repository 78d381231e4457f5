"""Completed tasks: which are kept, and how many."""

from __future__ import annotations

from shim import limits
from shim.core.history import History
from shim.model.ids import FrameworkId
from shim.protos.mesos_pb2 import TASK_FAILED, TASK_FINISHED
from tests.core.harness import Shim, framework_info


class Past:
    """A history, and tasks that end."""

    def __init__(self) -> None:
        self.history = History()
        self.shim = Shim()

    def end(self, task: str, framework: str = "F", *, name: str = "", failed: bool = False) -> None:
        self.shim.run(task, framework)
        ended = self.shim.task(task, framework)
        ended.wire.state = TASK_FAILED if failed else TASK_FINISHED
        info = framework_info(framework)
        info.name = name or info.name
        self.history.add(ended, info, 5.0)

    def tasks(self, framework: str = "F") -> list[str]:
        return [
            found.ref.task_key.task_id for found in self.history.tasks_of(FrameworkId(framework))
        ]


def test_the_newest_tasks_of_a_framework_are_kept_oldest_first() -> None:
    past = Past()
    for number in range(limits.COMPLETED_TASKS + 2):
        past.end(f"t{number}")
    names = past.tasks()
    assert len(names) == limits.COMPLETED_TASKS
    assert (names[0], names[-1]) == ("t2", f"t{limits.COMPLETED_TASKS + 1}")


def test_the_frameworks_without_recent_ends_are_forgotten() -> None:
    past = Past()
    past.end("t", "old")
    past.end("t", "busy")
    for number in range(limits.COMPLETED_FRAMEWORKS - 2):
        past.end("t", f"F{number}")
    past.end("t2", "busy")
    past.end("t", "new")
    past.end("t", "newer")
    assert past.tasks("old") == []
    assert past.tasks("F0") == []
    assert past.tasks("busy") == ["t", "t2"]
    known = past.history.frameworks()
    assert len(known) == limits.COMPLETED_FRAMEWORKS
    assert "old" not in known
    assert "newer" in known


def test_a_framework_keeps_its_latest_info() -> None:
    past = Past()
    past.end("t1", name="before")
    past.end("t2", name="after")
    assert past.history.frameworks()[FrameworkId("F")].name == "after"


def test_totals_include_forgotten_tasks() -> None:
    past = Past()
    for number in range(limits.COMPLETED_TASKS + 3):
        past.end(f"t{number}")
    past.end("bad", failed=True)
    assert past.history.totals == {TASK_FINISHED: limits.COMPLETED_TASKS + 3, TASK_FAILED: 1}


def test_a_framework_without_completed_tasks_has_an_empty_list() -> None:
    assert History().tasks_of(FrameworkId("F")) == []
    assert History().frameworks() == {}
