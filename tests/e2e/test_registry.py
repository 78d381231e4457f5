"""Images out of a real registry: credentials, forced pulls, slow pulls, one pull for many tasks."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests import busybox, registry
from tests.e2e.agents import eventually
from tests.e2e.conftest import System
from tests.e2e.gate import gate
from tests.e2e.tasks import docker_task, ends
from tests.engine.fetch.archives import a_tar
from tests.engine.fetch.server import serving
from tests.registry import Registry

pytestmark = [
    pytest.mark.needs_docker,
    pytest.mark.needs_busybox,
    pytest.mark.needs_registry,
]

PULL = "TASK_FAILED Failed to launch container: "
Push = Callable[[Registry], str]


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry.running(tmp_path_factory.mktemp("public"), user="") as running:
        yield running


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry.running(tmp_path_factory.mktemp("private")) as running:
        yield running


@pytest.fixture
def push(docker_client: docker.DockerClient) -> Iterator[Push]:
    """Puts a new image of 3 MB that the engine does not have into a registry."""
    tag = uuid.uuid4().hex

    def push(where: Registry) -> str:
        made = f"mesos-shim-test/{tag}"
        layer = {"noise": os.urandom(3_000_000)}
        docker_client.api.import_image_from_data(a_tar(layer), repository=made, tag="noise")
        docker_client.api.import_image_from_data(
            busybox.root_file_system(layer), repository=made, tag="1"
        )
        name = where.push(docker_client, f"{made}:1", f"tests/{tag}:1")
        docker_client.images.remove(f"{made}:1")
        return name

    yield push
    for image in docker_client.images.list():
        for name in image.tags:
            if tag in name:
                docker_client.images.remove(name, force=True)
