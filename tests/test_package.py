"""The wheel and the sdist: what is in them, and that two builds are the same bytes."""

from __future__ import annotations

import email
import os
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import shim

ROOT = Path(__file__).parents[1]
SHARED = {
    "share/bash-completion/completions/mesos-shim": "mesos-shim.bash",
    "share/zsh/site-functions/_mesos-shim": "_mesos-shim",
    "share/fish/vendor_completions.d/mesos-shim.fish": "mesos-shim.fish",
    "share/man/man1/mesos-shim.1": "mesos-shim.1",
}


def build(builder: type[WheelBuilder | SdistBuilder], tree: Path, into: Path) -> Path:
    into.mkdir()
    (artifact,) = builder(str(tree)).build(directory=str(into), versions=["standard"])
    return Path(artifact)


def tracked(*below: str) -> set[str]:
    """Files of the tree that are no bytecode and no leftovers of tools."""
    if not (ROOT / ".git").exists():
        pytest.skip("git knows which files belong to the tree")
    listed = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "--", *below]
    return set(subprocess.check_output(listed, text=True).splitlines())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("package")


@pytest.fixture(scope="module")
def wheel(directory: Path) -> Path:
    return build(WheelBuilder, ROOT, directory / "wheel")


@pytest.fixture(scope="module")
def sdist(directory: Path) -> Path:
    return build(SdistBuilder, ROOT, directory / "sdist")


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    version = f"mesos_shim-{shim.__version__}"
    own = {name for name in names if not name.startswith(version)}
    assert own == {name for name in tracked("shim") if "/completion/files/" not in name}
    for file in ("shim/py.typed", "shim/http/live/assets/index.html", "shim/protos/mesos.proto"):
        assert file in own
    shared = {name for name in names if ".data/data/" in name}
    assert shared == {f"{version}.data/data/{name}" for name in SHARED}
    assert names - own - shared == {
        f"{version}.dist-info/{name}"
        for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }


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


def test_the_sdist_holds_the_whole_tree(sdist: Path) -> None:
    root = f"mesos_shim-{shim.__version__}/"
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(root) for name in archive.getnames()}
    assert tracked() - names == set()
    assert names - tracked() == {"PKG-INFO"}


def test_another_build_is_the_same_bytes_also_out_of_the_sdist(
    wheel: Path, sdist: Path, directory: Path
) -> None:
    unpacked = directory / "unpacked"
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (tree,) = unpacked.iterdir()
    now = time.time()
    for path in tree.rglob("*"):
        os.utime(path, (now, now))
    assert build(WheelBuilder, tree, directory / "wheel2").read_bytes() == wheel.read_bytes()
    assert build(SdistBuilder, ROOT, directory / "sdist2").read_bytes() == sdist.read_bytes()
