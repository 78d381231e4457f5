"""The list of planted bugs is in step with the code; ``scripts/planted`` finds each."""

from __future__ import annotations

from pathlib import Path

from tests.planted.bugs import BUGS, SIM, Bug

ROOT = Path(__file__).parents[2]


def _fits(bug: Bug) -> bool:
    source = (ROOT / bug.file).read_text(encoding="utf-8")
    there = all(tests == SIM or (ROOT / tests).exists() for tests in bug.found_by)
    return source.count(bug.old) == 1 and there


def test_each_bug_has_its_text_in_the_code_once_and_its_tests_are_there() -> None:
    assert [bug.what for bug in BUGS if not _fits(bug)] == []


def test_each_bug_has_a_description_of_its_own() -> None:
    assert len({bug.what for bug in BUGS}) == len(BUGS)
