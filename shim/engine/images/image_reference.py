"""Image references, split into the parameters of ``POST /images/create``."""

from __future__ import annotations

import re

from shim.engine.api import ImageRef
from shim.errors import InvalidTask

DOCKER_HUB = "docker.io"
HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_MAX_REPOSITORY = 255


def parse_image(text: str, field: str = "image") -> ImageRef:
    """Parse a reference; a missing tag is ``latest``. InvalidTask names ``field``.

    A digest wins over a tag, as in Docker. The repository stays as it was written: the engine
    knows Docker Hub's short names itself.
    """
    name, at, digest = text.partition("@")
    repository, tag = _split_tag(name)
    reason = _problem(repository, tag, digest if at else None)
    if reason:
        raise InvalidTask(f"{reason}: {field} {text[:300]!r}")
    if at:
        return ImageRef(text, repository, digest, registry_of(repository))
    if tag is None:
        return ImageRef(f"{text}:latest", repository, "latest", registry_of(repository))
    return ImageRef(text, repository, tag, registry_of(repository))


def registry_of(repository: str) -> str:
    """``host[:port]`` of the registry, or ``docker.io``: the key of its credentials."""
    host, _ = _split_host(repository)
    return DOCKER_HUB if host is None or host.lower() in HUB_HOSTS else host


def _split_host(repository: str) -> tuple[str | None, str]:
    first, slash, rest = repository.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return None, repository


def _split_tag(name: str) -> tuple[str, str | None]:
    """A colon begins a tag only in the last component; before that it begins a port."""
    head, slash, last = name.rpartition("/")
    component, colon, tag = last.partition(":")
    return f"{head}{slash}{component}", tag if colon else None


def _problem(repository: str, tag: str | None, digest: str | None) -> str | None:
    host, path = _split_host(repository)
    if not repository:
        return "No image name"
    if path != path.lower():
        return "The repository name of an image must be lower case"
    if host is not None and not _HOST.fullmatch(host):
        return "Not a registry's host name"
    if not _PATH.fullmatch(path) or len(repository) > _MAX_REPOSITORY:
        return "Not an image name"
    if tag is not None and not _TAG.fullmatch(tag):
        return "Not an image tag"
    if digest is not None and not _DIGEST.fullmatch(digest):
        return "Not an image digest"
    return None
