"""``start.sh`` and ``env.sh`` as a user runs them, in a copy of this tree."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.support.ports import offered_ports
from tests.support.wait import PATIENCE

TREE = Path(__file__).parent.parent
PARTS = (
    *("shim", "scripts", "compose", "start.sh", "env.sh", "setup.cfg", "pyproject.toml"),
    *("README.md", "LICENSE", ".dockerignore"),
)
IGNORED = shutil.ignore_patterns("__pycache__")
NOWHERE = "localhost:1/none:1"
SECONDS = 1800
"""pip has to fetch what the package needs, perhaps over a slow line."""


def copy_tree(target: Path) -> Path:
    """What start.sh needs of this tree."""
    target.mkdir(parents=True)
    for part in PARTS:
        if (TREE / part).is_dir():
            shutil.copytree(TREE / part, target / part, ignore=IGNORED, symlinks=True)
        else:
            shutil.copy2(TREE / part, target / part)
    return target


def shell(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options
    )


@dataclass
class Demo:
    root: Path
    environ: dict[str, str]
    project: str = "mesos"

    def __call__(self, *words: str, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        done = self.script("start.sh", *words, **more)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def script(self, name: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        path = str(self.root / name)
        return shell("bash", path, *words, cwd="/", env=self.environ | more, timeout=SECONDS)

    def evaluated(
        self, *words: str, show: str = 'echo "and $MESOS_MASTER"'
    ) -> subprocess.CompletedProcess[str]:
        """What a user's shell makes of ``eval "$(bash env.sh …)"``."""
        script = f'eval "$(bash "$0" "$@")" && {show}'
        path = str(self.root / "env.sh")
        return shell("bash", "-c", script, path, *words, env=self.environ, timeout=PATIENCE)

    def pid(self, name: str) -> int:
        return int((self.root / ".run/mesos" / f"{name}.pid").read_text().split()[0])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    root = copy_tree(tmp_path_factory.mktemp("start") / "a b")
    ports = map(str, offered_ports(3))
    names = ("MASTER_PORT", "AGENT_PORT", "WEB_PORT")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MESOS_", "COMPOSE_"))}
    # A name that no registry has: what is pulled must not depend on the machine.
    image = {"SAMPLE_IMAGE": NOWHERE, "CONSUL_IMAGE": NOWHERE}
    demo = Demo(root, kept | dict(zip(names, ports, strict=True)) | image)
    yield demo
    demo.script("start.sh", "stop")


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def ours(client: docker.DockerClient, demo: Demo) -> list[str]:
    """Names of containers that belong to this copy's shim."""
    published = f":{demo.environ['WEB_PORT']}->"
    found = client.containers.list(
        all=True, ignore_removed=True, filters={"label": "mesos-shim.id"}
    )
    return [str(c.name) for c in found if published in str(c.ports) or is_of(demo, c)]


def is_of(demo: Demo, container: Container) -> bool:
    owner = subprocess.run(
        ["cksum"],
        input=f"{os.uname().nodename} {demo.root}",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[0]
    return str(container.labels["mesos-shim.id"]).endswith(f"-{owner}")


@pytest.mark.needs_docker
@pytest.mark.needs_busybox
@pytest.mark.timeout(SECONDS)
def test_the_embedded_demo(demo: Demo, client: docker.DockerClient) -> None:
    started = demo("--no-install")
    assert "starting the embedded demo instead" in started.stderr
    master, agent, web = (demo.environ[n] for n in ("MASTER_PORT", "AGENT_PORT", "WEB_PORT"))
    for address in (f"127.0.0.1:{master}", f"127.0.0.1:{agent}", f"http://127.0.0.1:{web}/"):
        assert address in started.stdout
    assert "start.sh stop" in started.stdout
    with urllib.request.urlopen(f"http://127.0.0.1:{web}/", timeout=PATIENCE) as answer:
        assert b"Mesos task" in answer.read()
    assert len(ours(client, demo)) == 1

    again = demo("--embedded")
    assert "running already" in again.stderr
    assert f"http://127.0.0.1:{web}/" in again.stdout
    assert len(ours(client, demo)) == 1

    status = demo("status").stdout
    assert "the agent is registered" in status
    assert "the web task answers" in status
    assert "TASK_RUNNING" in status
    assert "registered with master" in demo("logs").stdout
    assert demo.evaluated("mesos").stdout.endswith(f"and 127.0.0.1:{master}\n")

    stopped = demo("stop")
    assert "nothing is left" in stopped.stderr
    assert ours(client, demo) == []
    assert not (demo.root / ".run/mesos").exists()
    assert "nothing runs in project mesos" in demo("stop").stderr
    assert "project mesos is not running" in demo("status", code=3).stdout


@pytest.mark.needs_docker
@pytest.mark.needs_busybox
@pytest.mark.timeout(SECONDS)
def test_a_demo_that_was_killed_is_cleared_up(demo: Demo, client: docker.DockerClient) -> None:
    demo("--embedded", "--no-install")
    for name in ("web", "dev"):
        os.kill(demo.pid(name), signal.SIGKILL)
    assert len(ours(client, demo)) == 1
    assert demo.evaluated("mesos").returncode != 0
    assert "an earlier demo was not stopped" in demo("--embedded", "--no-install").stderr
    assert len(ours(client, demo)) == 1
    demo("stop")
    assert ours(client, demo) == []


@pytest.mark.needs_docker
@pytest.mark.timeout(SECONDS)
def test_a_pid_that_became_another_process_is_left_alone(demo: Demo) -> None:
    bystander = subprocess.Popen(["sleep", "3600"])
    try:
        run = demo.root / ".run/mesos"
        run.mkdir(parents=True)
        for name in ("web", "dev"):
            (run / f"{name}.pid").write_text(f"{bystander.pid} 1\n")
        assert "project mesos is not running" in demo("status", code=3).stdout
        demo("stop")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.needs_docker
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize(
    ("variable", "flag"),
    [
        ("MASTER_PORT", "--master-port"),
        ("AGENT_PORT", "--agent-port"),
        ("WEB_PORT", "--web-port"),
    ],
)
def test_a_port_that_is_taken(demo: Demo, variable: str, flag: str) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = str(other.getsockname()[1])
        error = demo("--embedded", "--no-install", f"{flag}={port}", code=1).stderr
    last = error.strip().splitlines()[-1]
    assert f"port {port}" in last
    assert flag in last
    assert variable in last


def test_without_an_engine_one_clear_error(tmp_path: Path) -> None:
    demo = Demo(copy_tree(tmp_path / "tree"), dict(os.environ))
    nowhere = "unix:///nonexistent/docker.sock"
    error = demo("--embedded", "--no-install", code=1, DOCKER_HOST=nowhere).stderr
    assert len(error.splitlines()) == 1
    assert f"DOCKER_HOST={nowhere}" in error
    assert not (tmp_path / "tree/.venv").exists()


@pytest.mark.parametrize(
    "words", [["--nonsense"], ["start", "stop"], ["-p"], ["-p", "No/Path"], ["--web-port="]]
)
def test_wrong_arguments(words: list[str]) -> None:
    done = shell("bash", str(TREE / "start.sh"), *words, timeout=PATIENCE)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["nothing-of-this-name"], ["No/Path"], ["a", "b"]])
def test_env_of_what_does_not_run_makes_eval_fail(words: list[str]) -> None:
    done = Demo(TREE, dict(os.environ)).evaluated(*words)
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.needs_shellcheck
def test_shell_scripts_are_sound() -> None:
    scripts = [
        path
        for folder in (".", ".ci", "scripts", "compose", "tests")
        for path in sorted((TREE / folder).rglob("*") if folder != "." else TREE.glob("*.sh"))
        if path.is_file() and is_shell(path)
    ]
    assert len(scripts) > 5
    done = shell("shellcheck", "-x", *map(str, scripts), cwd=TREE)
    assert done.returncode == 0, done.stdout


def is_shell(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline()
    return first.startswith((b"#!/usr/bin/env bash", b"#!/bin/sh", b"# shellcheck shell="))
