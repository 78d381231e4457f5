from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.engine.api import ImageRef
from shim.engine.images.image_reference import parse_image, registry_of
from shim.errors import InvalidTask

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", ImageRef("nginx:latest", "nginx", "latest", "docker.io")),
        ("nginx:1.2-alpine", ImageRef("nginx:1.2-alpine", "nginx", "1.2-alpine", "docker.io")),
        ("a/b", ImageRef("a/b:latest", "a/b", "latest", "docker.io")),
        ("reg:5000/a", ImageRef("reg:5000/a:latest", "reg:5000/a", "latest", "reg:5000")),
        ("reg:5000/a:2", ImageRef("reg:5000/a:2", "reg:5000/a", "2", "reg:5000")),
        ("localhost/a:2", ImageRef("localhost/a:2", "localhost/a", "2", "localhost")),
        ("REG.io/a", ImageRef("REG.io/a:latest", "REG.io/a", "latest", "REG.io")),
        ("[::1]:5000/a:2", ImageRef("[::1]:5000/a:2", "[::1]:5000/a", "2", "[::1]:5000")),
        (f"r.io/a@{DIGEST}", ImageRef(f"r.io/a@{DIGEST}", "r.io/a", DIGEST, "r.io")),
        (f"r.io/a:1@{DIGEST}", ImageRef(f"r.io/a:1@{DIGEST}", "r.io/a", DIGEST, "r.io")),
    ],
)
def test_references_are_parsed(text: str, expected: ImageRef) -> None:
    assert parse_image(text) == expected


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_all_hosts_of_docker_hub_have_one_name(host: str) -> None:
    assert registry_of(f"{host}/library/nginx") == "docker.io"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No image name: image ''"),
        ("Nginx", "The repository name of an image must be lower case: image 'Nginx'"),
        ("r.io/Foo:1", "The repository name of an image must be lower case: image 'r.io/Foo:1'"),
        ("a b", "Not an image name: image 'a b'"),
        ("nginx\n", "Not an image name: image 'nginx\\n'"),
        ("a//b", "Not an image name: image 'a//b'"),
        ("-r.io/a", "Not a registry's host name: image '-r.io/a'"),
        ("nginx:", "Not an image tag: image 'nginx:'"),
        ("nginx:a b", "Not an image tag: image 'nginx:a b'"),
        ("nginx@sha256:12", "Not an image digest: image 'nginx@sha256:12'"),
        ("nginx@", "Not an image digest: image 'nginx@'"),
        ("a" * 256, f"Not an image name: image '{'a' * 256}'"),
    ],
)
def test_references_that_no_engine_accepts_are_rejected(text: str, message: str) -> None:
    with pytest.raises(InvalidTask) as caught:
        parse_image(text)
    assert str(caught.value) == message


@settings(derandomize=True)
@given(st.text(alphabet="aB1:/@.-_[]\0 ", max_size=30))
def test_every_text_is_a_reference_or_rejected(text: str) -> None:
    try:
        image = parse_image(text)
    except InvalidTask:
        return
    assert image.repository
    assert image.tag
    assert parse_image(image.text) == image
