"""How pytest-xdist spreads the tests over its workers.

The end-to-end tests wait far more than they compute, so they come first and one by one, and each
worker takes the next. The unit tests only compute: they come last, a module at a time. Modules
that share one expensive service stay together on one worker.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

SLOWEST_FIRST = (
    "tests/compose/test_compose.py",
    "tests/test_start.py",
    "tests/e2e/faults",
    "tests/discovery/test_real_consul.py",
    "tests/wire/test_detect.py",
    "tests/e2e",
    "tests/test_documents.py",
    "tests/dev/master",
    "tests/run",
    "tests/sim",
    "tests/triton",
    "tests/engine/triton",
    "tests/contract",
)
"""Files and folders by how long their tests take; the rest follows."""

SERVICES = {
    "tests/discovery/test_real_consul.py": "consul",
    "tests/wire/test_detect.py": "zookeeper",
}
"""Modules whose tests share a session's service, by its name: one worker starts it."""

ONE_BY_ONE = (
    "tests/compose/test_compose.py",
    "tests/dev/master",
    "tests/e2e",
    "tests/run",
    "tests/test_documents.py",
)
"""Their tests share nothing: each may run on any worker."""

PROCESSES = (
    "tests/compose",
    "tests/dev",
    "tests/e2e",
    "tests/run/test_command.py",
    "tests/test_documents.py",
    "tests/test_start.py",
)
"""Their tests start agents, frameworks or scripts as processes: they are no unit tests."""


def starts_processes(node_id: str) -> bool:
    return any(_file(node_id).is_relative_to(folder) for folder in PROCESSES)


def rank(node_id: str) -> int:
    """The place of a test in the order of the run."""
    for place, slow in enumerate(SLOWEST_FIRST):
        if _file(node_id).is_relative_to(slow):
            return place
    return len(SLOWEST_FIRST)


def group(node_id: str) -> str:
    """Tests of one group run on one worker, one after the other."""
    file = _file(node_id)
    if any(file.is_relative_to(folder) for folder in ONE_BY_ONE):
        return node_id
    return SERVICES.get(str(file), str(file))


def _file(node_id: str) -> PurePosixPath:
    return PurePosixPath(node_id.partition("::")[0])


def scheduler(config: Any, log: Any) -> Any:
    """For ``pytest_xdist_make_scheduler``."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    # The order of the tests is the order of the groups.
    config.option.loadscopereorder = False
    return ByGroup(config, log)
