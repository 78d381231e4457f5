"""The image of the infra containers: one program, in the archive that ``docker load`` reads.

An image is identified by the digest of its configuration. The archive is the same byte for byte
each time, so agents that load it at the same time load one image, and none takes another's away.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

from shim.engine.infra.program import PROGRAMS
from shim.errors import Permanent

REPOSITORY = "mesos-shim/infra"
VERSION = "1"
"""Counts up with each change of the image: agents of two versions may share an engine."""
IMAGE = f"{REPOSITORY}:{VERSION}"
LABEL_VERSION = "mesos-shim.infra.version"
_ENTRYPOINT = "/infra"
_USER = "65535:65535"
"""An unprivileged user: the program needs no rights."""
_CREATED = "1970-01-01T00:00:00Z"


def image_archive(architecture: str) -> bytes:
    """The image for an engine of this architecture, as ``POST /images/load`` takes it.

    Permanent for an architecture without a program.
    """
    program = PROGRAMS.get(architecture)
    if program is None:
        known = ", ".join(sorted(PROGRAMS))
        raise Permanent(
            f"the agent has an infra image for {known}, not for the engine's {architecture!r}:"
            " --pod_image names one"
        )
    layer = _tar({_ENTRYPOINT.lstrip("/"): program()}, mode=0o755)
    config = json.dumps(_config(architecture, _digest(layer)), sort_keys=True).encode()
    image, directory = f"{_digest(config)}.json", _digest(layer)
    manifest = [{"Config": image, "RepoTags": [IMAGE], "Layers": [f"{directory}/layer.tar"]}]
    return _tar(
        {
            image: config,
            f"{directory}/layer.tar": layer,
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def _config(architecture: str, layer: str) -> Mapping[str, object]:
    return {
        "architecture": architecture,
        "os": "linux",
        "created": _CREATED,
        "config": {
            "Entrypoint": [_ENTRYPOINT],
            "User": _USER,
            "WorkingDir": "/",
            "Labels": {LABEL_VERSION: VERSION},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created": _CREATED, "created_by": "mesos-shim"}],
    }


def _tar(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
