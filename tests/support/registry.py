"""A private registry on this machine: Debian's docker-registry, with names and passwords."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import docker
import requests

from tests.support.ports import free_port
from tests.support.wait import PATIENCE, first

CONFIG = """
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {directory}/data
http:
  addr: 127.0.0.1:{port}
"""
AUTH = """
auth:
  htpasswd:
    realm: tests
    path: {directory}/htpasswd
"""


@dataclass(frozen=True)
class Registry:
    """Engines on this machine reach it without TLS, since it is on 127.0.0.1."""

    port: int
    user: str
    password: str

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def docker_config(self) -> Mapping[str, object]:
        """The ``config.json`` of a user who may pull."""
        auth = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"auths": {self.host: {"auth": auth}}}

    @property
    def docker_config_bytes(self) -> bytes:
        return json.dumps(self.docker_config).encode()

    def push(self, client: docker.DockerClient, image: str, name: str) -> str:
        """Put an image of the engine into the registry and take its local name away again.

        Returns the name to pull it by.
        """
        target = f"{self.host}/{name}"
        client.images.get(image).tag(target)
        try:
            output = client.images.push(target, auth_config=self._login())
        finally:
            client.images.remove(target)
        assert '"error"' not in output, output
        return target

    def _login(self) -> dict[str, str]:
        return {"username": self.user, "password": self.password}


@contextmanager
def running(directory: Path, user: str = "me", password: str = "secret") -> Iterator[Registry]:
    """A registry on a free port that keeps its images in ``directory`` and knows one user.

    With an empty user every client may read and write.
    """
    port = free_port()
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    (directory / "htpasswd").write_text(f"{user}:{hashed}\n")
    config = directory / "config.yml"
    text = CONFIG + AUTH if user else CONFIG
    config.write_text(text.format(directory=directory, port=port))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        _wait(port, 401 if user else 200, process, directory / "log")
        yield Registry(port, user, password)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait(port: int, expected: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the registry answers its first request, with the expected status."""

    def status() -> int:
        assert process.poll() is None, f"the registry did not start: {log.read_text()}"
        try:
            return requests.get(f"http://127.0.0.1:{port}/v2/", timeout=PATIENCE).status_code
        except requests.ConnectionError:
            return 0

    assert first(status, "an answer of the registry") == expected
