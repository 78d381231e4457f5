"""What all tests share: marks by what a test needs, the order, the test image, the last look."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import docker
import hypothesis
import pytest

from shim.model.container import LABEL_SHIM
from tests.support import busybox, scheduling
from tests.support.tools import have

HERE = Path(__file__).parent
TEST_SHIMS = f"test-{os.getpid()}-{uuid.uuid4().hex[:6]}-"
"""Every shim id of this process begins so: what is left over at the end is of this process."""

SETTINGS = ("MESOS_", "LIBPROCESS_", "CONSUL_", "NO_COLOR", "COLUMNS", "LINES")
"""Beginnings of variables that commands read. Tests begin without those of the caller's shell."""

for name in [name for name in os.environ if name.startswith(SETTINGS)]:
    if name != "MESOS_MASTER_BIN":
        del os.environ[name]
os.environ["TERM"] = "xterm"

# An example may take any time: the machine may be busy.
hypothesis.settings.register_profile(
    "any speed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any speed")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """What is collected stays to the end: to look for garbage in it took a third of the time."""
    compile_share()
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def compile_share() -> None:
    """In a fresh checkout each worker compiles its share, and takes the others' from the cache."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if not number or (HERE / "wire/__pycache__").exists():
        return
    modules = sorted(HERE.rglob("test_*.py"))
    for path in modules[int(number) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]:
        name = ".".join(path.relative_to(HERE.parent).with_suffix("").parts)
        with contextlib.suppress(Exception):  # The collection will say it.
            importlib.import_module(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        needed = [m.name[6:] for m in item.iter_markers() if m.name.startswith("needs_")]
        for tool in needed:
            if not have(tool):
                item.add_marker(pytest.mark.skip(reason=f"{tool} is not here"))
        if not needed and not scheduling.starts_processes(item.nodeid):
            item.add_marker(pytest.mark.unit)
    items.sort(key=lambda item: scheduling.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return scheduling.scheduler(config, log)


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """A client of the real engine. At the end no container of this process may be left."""
    client = docker.from_env()
    yield client
    left = [
        container["Names"][0]
        for container in client.api.containers(all=True, filters={"label": LABEL_SHIM})
        if container["Labels"][LABEL_SHIM].startswith(TEST_SHIMS)
    ]
    for name in left:
        client.api.remove_container(name, force=True, v=True)
    client.close()
    assert not left, f"containers left over: {left}"


@pytest.fixture(scope="session")
def busybox_image(docker_client: docker.DockerClient) -> str:
    """The name of a tiny image that the engine has."""
    return busybox.build(docker_client)


@pytest.fixture
def shim_id(request: pytest.FixtureRequest) -> str:
    """A shim id, the owner label of containers, for this test alone."""
    name = re.sub(r"[^\w.-]", "-", request.node.name)
    return f"{TEST_SHIMS}{name}"[:60]
