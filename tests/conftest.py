"""What all tests share: skipping by what this machine has, the test image, the last look."""

from __future__ import annotations

import os
from collections.abc import Iterator

import docker
import pytest

from shim.model.container import LABEL_SHIM
from tests import busybox
from tests.tools import have

TEST_SHIMS = f"test-{os.getpid()}-"
"""Every shim id of this run begins so: what is left over at the end is ours."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers():
            tool = mark.name.removeprefix("needs_")
            if tool != mark.name and not have(tool):
                item.add_marker(pytest.mark.skip(reason=f"{tool} is not here"))


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """A client of the real engine. At the end no container of this run may be left."""
    client = docker.from_env()
    yield client
    left = [
        container
        # Others' containers come and go meanwhile.
        for container in client.containers.list(
            all=True, filters={"label": LABEL_SHIM}, ignore_removed=True
        )
        if container.labels[LABEL_SHIM].startswith(TEST_SHIMS)
    ]
    for container in left:
        container.remove(force=True, v=True)
    client.close()
    assert not left, f"containers left over: {[container.name for container in left]}"


@pytest.fixture(scope="session")
def busybox_image(docker_client: docker.DockerClient) -> str:
    """The name of a tiny image that the engine has."""
    return busybox.build(docker_client)


@pytest.fixture
def shim_id(request: pytest.FixtureRequest) -> str:
    """An owner label for this test alone."""
    return f"{TEST_SHIMS}{request.node.name}"[:200]
