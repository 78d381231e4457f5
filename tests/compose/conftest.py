"""The images of a demo whose images cannot be pulled, and a demo of them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping

import docker
import pytest

from tests.compose import images
from tests.support.locks import machine_lock
from tests.support.ports import free_ports
from tests.test_start import Demo, copy_tree

PORTS = (
    *("MASTER_PORT", "AGENT_PORT", "MARATHON_PORT", "CONSUL_PORT"),
    *("MASTER2_PORT", "MASTER3_PORT"),
)


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=300)
    yield client
    client.close()


@pytest.fixture(scope="session")
def stand_ins(
    client: docker.DockerClient, demo_tree: Demo, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """Image names by the variables of compose/.env."""
    with machine_lock("images"):
        base = images.base(client, tmp_path_factory.mktemp("wheels"))
        shim = images.shim(client, demo_tree.root, base)
        return {
            "BASE_IMAGE": base,
            "SHIM_IMAGE": shim,
            "ZOOKEEPER_IMAGE": images.zookeeper(client),
            "CONSUL_IMAGE": images.consul(client),
            "MASTER_IMAGE": images.on_shim(client, shim, "master"),
            "MARATHON_IMAGE": images.on_shim(client, shim, "marathon"),
        }


@pytest.fixture(scope="session")
def demo_tree(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A copy of this tree, without settings of this session's."""
    dropped = ("MESOS_", "COMPOSE_", "CONSUL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return Demo(copy_tree(tmp_path_factory.mktemp("compose") / "a b"), kept | {"CI": "1"})


@pytest.fixture
def demo(demo_tree: Demo, stand_ins: Mapping[str, str]) -> Iterator[Demo]:
    """Not started; taken down after each test in any case."""
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    project = f"shimtest{uuid.uuid4().hex[:8]}"
    demo = Demo(demo_tree.root, demo_tree.environ | dict(stand_ins) | ports, project)
    yield demo
    demo.script("start.sh", "stop", "-p", project)
