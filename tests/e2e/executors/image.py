"""An image with Python, pymesos, protobuf and both executors: a framework's own image."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import docker

from tests.compose.images import made
from tests.compose.tree import Tree, add_python, add_shell
from tests.support.locks import machine_lock

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
_PACKAGES = ("pymesos", "addict", "six", "google.protobuf")
_OURS = ("shim/protos", "shim/__init__.py")


def executor_image(client: docker.DockerClient) -> str:
    """The name of the image; made when the engine has none of the same content."""
    scripts = [
        HERE / "v0.py",
        HERE / "v1.py",
        HERE / "diary.py",
        ROOT / "shim/run/http_parser_compat.py",
    ]
    own = [path for name in _OURS for path in _files(ROOT / name)]

    def fill(tree: Tree) -> None:
        add_shell(tree)
        add_python(tree)
        for script in scripts:
            tree.copy(script, script.name)
        for path in own:
            tree.copy(path, str(path.relative_to(ROOT)))
        for name in _PACKAGES:
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.origin is not None
            origin = Path(spec.origin)
            top = origin.parent if origin.name == "__init__.py" else origin
            site = top.parents[name.count(".")]
            for path in _files(top):
                tree.copy(path, f"site/{path.relative_to(site)}")
        native = importlib.util.find_spec("google._upb._message")
        if native is not None and native.origin is not None:
            tree.copy(Path(native.origin), f"site/google/_upb/{Path(native.origin).name}")

    texts = [path.read_text(encoding="utf-8") for path in (*scripts, *own, Path(__file__))]
    with machine_lock("executor image"):
        changes = ["ENV PYTHONPATH=/site:/", "ENV PATH=/bin", "WORKDIR /"]
        return made(client, "executors", tuple(texts), fill, changes)


def gateway(client: docker.DockerClient) -> str:
    """Where containers of the default bridge reach processes of this machine."""
    found: str = client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    return found


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in (".py", ".so"))
