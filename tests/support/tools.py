"""Which tools, such as Docker or Consul, this machine has: tests without theirs are skipped."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import docker
from docker.errors import DockerException


def _docker() -> bool:
    with warnings.catch_warnings():
        # The library forgets to close a socket that could not connect.
        warnings.simplefilter("ignore", ResourceWarning)
        answers = _docker_answers()
        gc.collect()
    return answers


def _docker_answers() -> bool:
    try:
        with contextlib.closing(docker.from_env(timeout=5)) as client:
            return bool(client.ping())
    except (DockerException, OSError):
        return False


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


DETECT: Mapping[str, Callable[[], bool]] = {
    "docker": _docker,
    "registry": _program("docker-registry"),
    "consul": _program("consul"),
    "zookeeper": lambda: _program("java")() and Path("/usr/share/java/zookeeper.jar").exists(),
    "chromium": _program("chromium"),
    "compose": _program("docker-compose"),
    "ssh": _program("ssh-agent"),
    "systemd": _program("systemd-analyze"),
    "master": lambda: bool(os.environ.get("MESOS_MASTER_BIN")),
}
"""By the name in ``needs_<name>``."""


@cache
def have(tool: str) -> bool:
    """Whether ``SHIM_TEST_HAVE`` lists the tool; where that is unset, whether it is found here."""
    listed = os.environ.get("SHIM_TEST_HAVE")
    if tool == "master" or listed is None:
        return DETECT.get(tool, _program(tool))()
    return tool in listed.replace(",", " ").split()
