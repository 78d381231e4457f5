from __future__ import annotations

import pytest

from shim.engine.containers.diff import not_running
from shim.model.container import Container, Phase


@pytest.mark.parametrize(
    ("phase", "looked_at"),
    [
        (Phase.RUNNING, []),
        (Phase.EXITED, ["a"]),
        (Phase.CREATED, ["a"]),
        (Phase.PROVISIONING, ["a"]),
        (None, ["a"]),
    ],
)
def test_what_is_not_listed_as_running_is_looked_at(
    phase: Phase | None, looked_at: list[str]
) -> None:
    listed = [Container("stranger", "1", Phase.EXITED)]
    if phase is not None:
        listed.append(Container("a", "2", phase))
    assert not_running(["a"], listed) == looked_at


def test_nothing_watched_nothing_changed() -> None:
    assert not_running([], [Container("stranger", "1", Phase.EXITED)]) == []
