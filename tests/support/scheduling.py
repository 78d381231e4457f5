"""How pytest-xdist spreads the tests over its workers.

The end-to-end tests wait far more than they compute, so they come first and one by one, and each
worker takes the next. The unit tests only compute: they come last, a module at a time. Modules
that share one expensive service stay together on one worker.
"""

from __future__ import annotations

from functools import cache
from pathlib import PurePosixPath
from typing import Any

SLOWEST_FIRST = (
    "tests/compose/test_default_demo.py",
    "tests/compose/test_compose.py",
    "tests/test_start.py",
    "tests/e2e/faults",
    "tests/discovery/test_real_consul.py",
    "tests/wire/test_detect.py",
    "tests/test_documents.py",
    "tests/contract",
    "tests/e2e",
    "tests/dev/master",
    "tests/run",
    "tests/sim",
    "tests/triton",
    "tests/engine/triton",
    "tests/compose/test_image.py",
    "tests/http/live/test_browser.py",
    "tests/discovery/test_sync.py",
    "tests/engine/mapping/test_spec.py",
    "tests/test_imports.py",
    "tests/certs",
    "tests/test_package.py",
    "tests/engine/containers/test_launch.py",
)
"""Files and folders by how long their tests take; the rest follows. One that takes long and came
last would keep one worker busy while the others have nothing left."""

SERVICES = {
    "tests/discovery/test_real_consul.py": "consul",
    "tests/wire/test_detect.py": "zookeeper",
    "tests/wire/test_zookeeper_client.py": "zookeeper",
}
"""Modules whose tests share a session's service, by its name: one worker starts it."""

ONE_BY_ONE = (
    "tests/compose/test_compose.py",
    "tests/contract",
    "tests/dev/master",
    "tests/e2e",
    "tests/run",
    "tests/sim",
)
"""Their tests share nothing: each may run on any worker."""

PROCESSES = (
    "tests/compose",
    "tests/dev",
    "tests/e2e",
    "tests/run/test_command.py",
    "tests/support/test_forkserver.py",
    "tests/test_documents.py",
    "tests/test_start.py",
)
"""Their tests start agents, frameworks or scripts as processes: they are no unit tests."""


def starts_processes(node_id: str) -> bool:
    return _is_below(_file(node_id), PROCESSES)


def rank(node_id: str) -> int:
    """The place of a test in the order of the run."""
    return _place(_file(node_id))


def group(node_id: str) -> str:
    """Tests of one group run on one worker, one after the other."""
    file = _file(node_id)
    return node_id if _is_below(file, ONE_BY_ONE) else SERVICES.get(file, file)


def _file(node_id: str) -> str:
    return node_id.partition("::")[0]


# Every worker asks for each of some thousand tests: the answers are kept by file.


@cache
def _place(file: str) -> int:
    path = PurePosixPath(file)
    places = (n for n, slow in enumerate(SLOWEST_FIRST) if path.is_relative_to(slow))
    return next(places, len(SLOWEST_FIRST))


@cache
def _is_below(file: str, folders: tuple[str, ...]) -> bool:
    return any(PurePosixPath(file).is_relative_to(folder) for folder in folders)


def scheduler(config: Any, log: Any) -> Any:
    """For ``pytest_xdist_make_scheduler``."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    # The order of the tests is the order of the groups.
    config.option.loadscopereorder = False
    return ByGroup(config, log)
