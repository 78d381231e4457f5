"""The shim's image, and demos that do not start for want of an image or a tool."""

from __future__ import annotations

from collections.abc import Mapping

import docker
import pytest

from tests.compose import images
from tests.test_start import SECONDS, Demo

pytestmark = [
    pytest.mark.needs_docker,
    pytest.mark.needs_compose,
    pytest.mark.needs_consul,
    pytest.mark.needs_zookeeper,
    pytest.mark.needs_busybox,
    pytest.mark.timeout(SECONDS),
]


def test_the_shims_image(client: docker.DockerClient, stand_ins: Mapping[str, str]) -> None:
    image = client.images.get(stand_ins["SHIM_IMAGE"])
    config = image.attrs["Config"]
    assert config["User"] not in ("", "0", "root")
    assert config["Healthcheck"]["Test"]
    base = client.images.get(stand_ins["BASE_IMAGE"]).attrs["Size"]
    assert image.attrs["Size"] - base < 80_000_000
    tools = "command -v pip cc gcc; ls /src /opt/mesos-shim/lib/python3*/site-packages/pip 2>&1"
    said = client.containers.run(
        stand_ins["SHIM_IMAGE"],
        ["-c", f"{tools}; id -u; mesos-shim --version"],
        entrypoint="/bin/sh",
        remove=True,
    ).decode()
    assert "/bin/pip" not in said
    assert "cc\n" not in said
    assert said.count("No such file") == 2
    assert said.splitlines()[-2] == "10001"
    assert said.splitlines()[-1].startswith("mesos-shim ")


def test_certificates_come_as_content(
    client: docker.DockerClient, stand_ins: Mapping[str, str]
) -> None:
    """TLSCA, TLSCERT and TLSKEY become files; what runs has them no longer."""
    show = 'ls -l "$DOCKER_CERT_PATH"; cat "$DOCKER_CERT_PATH"/*.pem; env'
    script = f"sed 's/^exec .*/{show.replace('/', chr(92) + '/')}/' /opt/mesos-shim/entrypoint.sh"
    said = client.containers.run(
        stand_ins["SHIM_IMAGE"],
        ["-c", f"{script} >/tmp/e.sh; sh /tmp/e.sh"],
        entrypoint="/bin/sh",
        environment={"TLSCA": "an authority", "TLSCERT": "a\ncertificate", "TLSKEY": "a key"},
        remove=True,
    ).decode()
    assert "an authority\na\ncertificate\na key\n" in said
    assert said.count("-rw-------") == 3
    assert "TLSKEY" not in said
    assert "DOCKER_CERT_PATH=" in said


def test_an_image_that_nobody_has(demo: Demo) -> None:
    missing = "localhost:1/none:1"
    error = demo("--compose", "-p", demo.project, code=1, MARATHON_IMAGE=missing).stderr
    assert f"image {missing} is neither here nor can it be pulled" in error.splitlines()[-1]


def test_an_old_compose_is_refused(demo: Demo) -> None:
    tools = demo.root / "old tools"
    tools.mkdir()
    for name, body in (
        ("docker-compose", "echo 1.21.0"),
        ("docker", '[ "$1" != compose ] && exec "$REAL" "$@"'),
    ):
        path = tools / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    real = images.which("docker")
    search = f"{tools}:{demo.environ['PATH']}"
    error = demo("--compose", "-p", demo.project, code=1, PATH=search, REAL=real).stderr
    assert "docker-compose 1.21.0 is too old" in error.splitlines()[-1]
