"""The archive of the infra image: the same each time, and complete."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest

from shim.engine.images.image_reference import parse_image
from shim.engine.infra import image
from shim.engine.infra.image import IMAGE, LABEL_VERSION, VERSION, image_archive
from shim.engine.infra.program import PROGRAMS
from shim.errors import Permanent

CONFIGS = {
    "amd64": "ac4e6ab0775dedc1a2758a580f8955937313cebcc627f18612bc14d1e30714ef",
    "arm64": "a32a894a71ccadc33c81ea2b2fdbf6ede8ad1e10dcc0faca476d4a0ed184d9d6",
}
"""The image ids of VERSION. A change is a new version: two agents may share an engine."""


def files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        opened = {member.name: tar.extractfile(member) for member in tar.getmembers()}
    return {name: file.read() for name, file in opened.items() if file is not None}


@pytest.mark.parametrize("architecture", PROGRAMS)
def test_the_archive_holds_one_image_with_one_program(architecture: str) -> None:
    content = files(image_archive(architecture))
    (manifest,) = json.loads(content["manifest.json"])
    assert manifest["RepoTags"] == [IMAGE]
    config, (layer,) = content[manifest["Config"]], (content[name] for name in manifest["Layers"])
    assert manifest["Config"] == f"{CONFIGS[architecture]}.json"
    assert hashlib.sha256(config).hexdigest() == CONFIGS[architecture]
    described = json.loads(config)
    assert described["architecture"] == architecture
    assert described["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert described["config"]["Labels"] == {LABEL_VERSION: VERSION}
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        (member,) = tar.getmembers()
        assert f"/{member.name}" == described["config"]["Entrypoint"][0]
        assert member.mode == 0o755
    assert files(layer)[member.name] == PROGRAMS[architecture]()
    assert image_archive(architecture) == image_archive(architecture)


def test_the_name_is_an_image_reference() -> None:
    assert parse_image(IMAGE).text == IMAGE == f"{image.REPOSITORY}:{VERSION}"


def test_another_architecture_is_refused_with_the_way_out() -> None:
    with pytest.raises(Permanent, match=r"amd64, arm64.*'riscv64'.*--pod_image"):
        image_archive("riscv64")
