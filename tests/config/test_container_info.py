"""The default container is a ContainerInfo with an image that can be run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shim.config import Config, load
from shim.errors import ConfigError
from shim.protos.mesos_pb2 import ContainerInfo

DOCKER = {"type": "DOCKER", "docker": {"image": "busybox:1"}}
MESOS = {"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "busybox"}}}}


def config(*argv: str) -> Config:
    return load(["--master=10.0.0.1:5050", *argv], {})


@pytest.mark.parametrize("document", [DOCKER, MESOS])
def test_json_and_file_are_the_same(document: object, tmp_path: Path) -> None:
    text = json.dumps(document)
    (tmp_path / "default.json").write_text(text)
    for value in (text, f"file://{tmp_path}/default.json"):
        info = config(f"--default_container_info={value}").default_container_info
        assert isinstance(info, ContainerInfo)
        assert "busybox" in str(info)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "ContainerInfo"),
        ("{}", "type missing"),
        ('{"type": "DOCKER"}', "docker.image is missing, and nothing runs without an image"),
        ('{"type": "MESOS"}', "mesos.image.docker.name is missing"),
        ('{"type": "DOCKER", "docker": {"image": "A B"}}', "lower case"),
        ('{"type": "DOCKER", "nosuch": 1}', "nosuch"),
        (r'{"\ud800": 1}', "lone surrogate"),
    ],
)
def test_errors_name_the_flag_and_the_field(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"--default_container_info=.*{said}"):
        config(f"--default_container_info={text}")


def test_pods_have_an_image_and_a_mode() -> None:
    found = config()
    assert (found.pod_image, found.triton_pods, found.default_container_info) == (
        "",
        "refuse",
        None,
    )
    found = config("--pod_image=registry.example/pause", "--triton_pods=separate")
    assert (found.pod_image, found.triton_pods) == ("registry.example/pause:latest", "separate")
    with pytest.raises(ConfigError, match="--pod_image=A B: "):
        config("--pod_image=A B")
