"""The wheel and the sdist: what is in them, and that two builds are the same bytes."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

import shim

ROOT = Path(__file__).parents[1]
SHARED = {
    "share/bash-completion/completions/mesos-shim": "mesos-shim",
    "share/zsh/site-functions/_mesos-shim": "_mesos-shim",
    "share/fish/vendor_completions.d/mesos-shim.fish": "mesos-shim.fish",
    "share/man/man1/mesos-shim.1": "mesos-shim.1",
}
DIST_INFO = (
    "METADATA",
    "WHEEL",
    "RECORD",
    "entry_points.txt",
    "top_level.txt",
    "licenses/LICENSE",
)
# What the sdist has beside the package: it builds the wheel, it runs no tests.
PARTS = {"LICENSE", "README.md", "pyproject.toml", "setup.cfg"}


def build(tree: Path, into: Path) -> tuple[Path, Path]:
    """The wheel and the sdist, by the backend that pyproject.toml names."""
    code = "import setuptools_reproducible as b; b.build_sdist('..'); b.build_wheel('..')"
    subprocess.run([sys.executable, "-c", code.replace("..", str(into))], cwd=tree, check=True)
    (wheel,), (sdist,) = into.glob("*.whl"), into.glob("*.tar.gz")
    return wheel, sdist


def copy_of_tree(into: Path) -> Path:
    """What git knows of the tree: a build leaves files behind."""
    for name in tracked():
        if name.startswith("shim/") or name in PARTS:
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    return into


def tracked(*below: str) -> set[str]:
    """Files of the tree that are no bytecode and no leftovers of tools."""
    if not (ROOT / ".git").exists():
        pytest.skip("git knows which files belong to the tree")
    listed = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "--", *below]
    return {
        name
        for name in subprocess.check_output(listed, text=True).splitlines()
        if (ROOT / name).exists()
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("package")
    return build(copy_of_tree(directory / "tree"), directory)


@pytest.fixture(scope="module")
def wheel(built: tuple[Path, Path]) -> Path:
    return built[0]


@pytest.fixture(scope="module")
def sdist(built: tuple[Path, Path]) -> Path:
    return built[1]


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    version = f"mesos_shim-{shim.__version__}"
    own = {name for name in names if not name.startswith(version)}
    of_tree = {name for name in tracked("shim") if "/completion/files/" not in name}
    assert own == {name for name in of_tree if not name.endswith(".md")}
    for file in ("shim/py.typed", "shim/http/live/assets/index.html", "shim/protos/mesos.proto"):
        assert file in own
    shared = {name for name in names if ".data/data/" in name}
    assert shared == {f"{version}.data/data/{name}" for name in SHARED}
    assert names - own - shared == {f"{version}.dist-info/{name}" for name in DIST_INFO}


def test_completions_and_manual_of_the_wheel_are_those_of_the_tree(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    for name, file in SHARED.items():
        content = archive.read(f"mesos_shim-{shim.__version__}.data/data/{name}")
        assert content == (ROOT / "shim/completion/files" / file).read_bytes()


def test_the_metadata(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    text = archive.read(f"mesos_shim-{shim.__version__}.dist-info/METADATA").decode()
    metadata = email.message_from_string(text)
    assert (metadata["Name"], metadata["Version"]) == ("mesos-shim", shim.__version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).startswith("# mesos-shim\n")
    assert len(metadata.get_all("Classifier", [])) > 5
    assert metadata.get_all("Project-URL")
    needs = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert "aiohttp>=3.14.4" in needs
    scripts = archive.read(f"mesos_shim-{shim.__version__}.dist-info/entry_points.txt").decode()
    assert "mesos-shim = shim.cli:main" in scripts


def test_the_sdist_holds_what_builds_the_wheel(sdist: Path) -> None:
    root = f"mesos_shim-{shim.__version__}/"
    with tarfile.open(sdist) as archive:
        names = {item.name.removeprefix(root) for item in archive if item.isfile()}
    of_tree = {name for name in tracked("shim") if not name.endswith(".md")} | PARTS
    assert {name for name in names if ".egg-info/" not in name} == of_tree | {"PKG-INFO"}


def test_a_build_out_of_the_sdist_at_another_time_is_the_same_bytes(
    wheel: Path, sdist: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    now = time.time()
    for path in tree.rglob("*"):
        os.utime(path, (now, now))
    again = build(tree, tmp_path)
    assert [path.read_bytes() for path in again] == [wheel.read_bytes(), sdist.read_bytes()]
