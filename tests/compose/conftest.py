"""The images of a demo whose images cannot be pulled, and a demo of them."""

from __future__ import annotations

import os
import site
import uuid
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import docker
import pytest

from tests.compose import images
from tests.support.locks import machine_lock
from tests.support.ports import free_ports
from tests.test_start import Demo, copy_tree, shell

PORTS = (
    *("MASTER_PORT", "AGENT_PORT", "MARATHON_PORT", "CONSUL_PORT"),
    *("MASTER2_PORT", "MASTER3_PORT", "AGENT2_PORT"),
    *("PROMETHEUS_PORT", "GRAFANA_PORT"),
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
            "GRAFANA_IMAGE": images.grafana(client),
            **({"PROMETHEUS_IMAGE": images.prometheus(client)} if which("prometheus") else {}),
        }


@pytest.fixture(scope="session")
def demo_tree(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A copy of this tree, without settings of this session's."""
    dropped = ("MESOS_", "COMPOSE_", "CONSUL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    tree = copy_tree(tmp_path_factory.mktemp("compose") / "a b")
    give_venv(tree)
    return Demo(tree, kept | {"CI": "1"})


def give_venv(tree: Path) -> None:
    """As start.sh would make one, with the packages of this Python: ``--ha`` makes its secrets so.

    ``tests/test_start.py`` has one made by start.sh.
    """
    venv.create(tree / ".venv")
    (packages,) = (tree / ".venv/lib").glob("python*/site-packages")
    (packages / "these.pth").write_text("".join(f"{path}\n" for path in site.getsitepackages()))
    stamp = '. "$0/scripts/lib.sh"; venv_is_whole && venv_wants >"$VENV/installed"'
    done = shell("bash", "-c", stamp, str(tree))
    assert done.returncode == 0, done.stderr


@contextmanager
def new_demo(demo_tree: Demo, stand_ins: Mapping[str, str]) -> Iterator[Demo]:
    """Not started; taken down at the end in any case."""
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    project = f"shimtest{uuid.uuid4().hex[:8]}"
    demo = Demo(demo_tree.root, demo_tree.environ | dict(stand_ins) | ports, project)
    try:
        yield demo
    finally:
        demo.script("start.sh", "stop", "-p", project)


@pytest.fixture
def demo(demo_tree: Demo, stand_ins: Mapping[str, str]) -> Iterator[Demo]:
    """A test's own, not started."""
    with new_demo(demo_tree, stand_ins) as made:
        yield made
