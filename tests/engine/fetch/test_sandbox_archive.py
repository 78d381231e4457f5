"""Files that become part of the sandbox, and files that do not."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shim import limits
from shim.engine.api import ContainerSpec
from shim.engine.fetch.archive import UnpackQuota
from shim.engine.fetch.sandbox_archive import (
    SandboxArchive,
    directory_tar,
    is_root,
    links_tar,
    with_sandbox_volume,
)
from shim.engine.fetch.uris import ArchiveKind, FetchItem, kind_of
from shim.engine.images.image_reference import parse_image
from shim.errors import Permanent
from tests.engine.fetch.archives import FILES, a_tar, link, packed


def item(
    name: str, *, executable: bool = False, unpack: bool = True, cache: bool = False
) -> FetchItem:
    kind = kind_of(name) if unpack and not executable else None
    return FetchItem(f"http://h/{name}", name, executable, kind, cache)


class Made:
    def __init__(self, directory: Path, *mounted: str, quota: UnpackQuota | None = None) -> None:
        self.sandbox = SandboxArchive(directory, mounted, quota or UnpackQuota())

    def __enter__(self) -> Made:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sandbox.close()

    def add(self, what: FetchItem, data: bytes) -> None:
        self.sandbox.add(what, io.BytesIO(data))

    def files(self, part: str = "") -> dict[str, bytes | str]:
        """Return content, link target or directory mode by name."""
        self.sandbox.close()
        if part not in self.sandbox.tars:
            return {}
        with tarfile.open(self.sandbox.tars[part].path) as tar:
            return {member.name: self._shown(tar, member) for member in tar}

    @staticmethod
    def _shown(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | str:
        if member.isdir():
            return f"dir {member.mode:o}"
        content = tar.extractfile(member) if member.isreg() else None
        return member.linkname if content is None else content.read()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with Made(tmp_path) as made:
        yield made


def test_a_plain_file_and_a_program(made: Made) -> None:
    made.add(item("a"), b"1")
    made.add(item("deep/er/run.tgz", executable=True), b"2")
    assert made.files() == {
        "a": b"1",
        "deep": "dir 755",
        "deep/er": "dir 755",
        "deep/er/run.tgz": b"2",
    }
    with tarfile.open(made.sandbox.tars[""].path) as tar:
        assert [m.mode for m in tar if m.isreg()] == [0o644, 0o755]


@pytest.mark.parametrize("kind", [ArchiveKind.TAR, ArchiveKind.TAR_GZ, ArchiveKind.ZIP])
def test_an_archive_is_unpacked_into_the_root_and_stays_beside_it(
    made: Made, kind: ArchiveKind
) -> None:
    name = f"sub/x{kind.value[0]}"
    made.add(item(name), packed(kind))
    found = made.files()
    assert found == FILES | {"dir": "dir 755", "sub": "dir 755", name: packed(kind)}


def test_a_cached_archive_does_not_stay(made: Made) -> None:
    made.add(item("x.tar", cache=True), a_tar())
    assert "x.tar" not in made.files()


def test_a_gz_file_is_unpacked_to_its_name_without_the_suffix(made: Made) -> None:
    made.add(item("sub/log.gz", cache=True), gzip.compress(b"text"))
    assert made.files() == {"log": b"text"}


def test_a_file_without_extract_is_kept_as_it_is(made: Made) -> None:
    made.add(item("x.tar", unpack=False), b"no tar at all")
    assert made.files() == {"x.tar": b"no tar at all"}


def test_links_are_kept(made: Made) -> None:
    made.add(
        item("x.tar", cache=True),
        a_tar(FILES, link("l", "a.txt"), link("h", "a.txt", tarfile.LNKTYPE)),
    )
    found = made.files()
    assert (found["l"], found["h"]) == ("a.txt", "a.txt")


def a_file(name: str, size: int = 1) -> tarfile.TarInfo:
    """A member of zeros, for the end of an archive."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def test_links_out_of_the_sandbox_are_kept(made: Made) -> None:
    python, certificates = "/usr/bin/python3", "../../../../etc/ssl/certs/x"
    links = [link("bin/python3", python), link("lib/cacerts", certificates)]
    made.add(item("x.tar", cache=True), a_tar({}, *links))
    assert made.files() == {"bin": "dir 755", "bin/python3": python, "lib": "dir 755"}
    assert made.sandbox.tars[""].outside_links == {"lib/cacerts": certificates}


def test_an_archive_of_a_single_outside_link_has_a_tar(made: Made) -> None:
    made.add(item("x.tar", cache=True), a_tar({}, link("l", "../x")))
    assert made.files() == {}
    assert made.sandbox.tars[""].outside_links == {"l": "../x"}


def test_a_later_file_replaces_a_link_out_of_the_sandbox(made: Made) -> None:
    made.add(item("x.tar", cache=True), a_tar({}, link("l", "../x"), a_file("l")))
    assert made.files() == {"l": b"\0"}
    assert made.sandbox.tars[""].outside_links == {}


def test_a_link_from_a_mounted_directory_into_the_sandbox_leads_outside_of_its_tar(
    tmp_path: Path,
) -> None:
    with Made(tmp_path, "dir") as made:
        made.add(item("x.tar", cache=True), a_tar({}, link("dir/up", "../a.txt")))
        assert made.files()["dir/up"] == "../a.txt"
        made.files("dir")
        assert made.sandbox.tars["dir"].outside_links == {"up": "../a.txt"}


@pytest.mark.parametrize(
    ("links", "name", "refused"),
    [
        ([("l", "/etc")], "l/evil", "'l' to '/etc'"),
        ([("l", "../..")], "l/evil", "'l' to '../..'"),
        ([("d/l", "../x")], "d/l/deep/evil", "'d/l' to '../x'"),
        ([("l", "m"), ("m", "/etc")], "l/evil", "'m' to '/etc'"),
        ([("l", "m"), ("m", "n/o"), ("n", "..")], "l/evil", "'n' to '..'"),
        ([("l", "m"), ("m", "l")], "l/evil", "to"),
        ([("l", "dir")], "l/good", ""),
        ([("l", "m"), ("m", "./dir")], "l/good", ""),
        ([("l", "/etc")], "l", ""),
        ([("l", "/etc")], "lx/good", ""),
    ],
)
def test_a_member_is_refused_only_when_written_through_a_link_that_may_lead_outside(
    made: Made, links: list[tuple[str, str]], name: str, refused: str
) -> None:
    archive = a_tar({}, *(link(*pair) for pair in links), a_file(name))
    if refused:
        with pytest.raises(Permanent, match=rf"{name}' is written through the link .*{refused}"):
            made.add(item("x.tar"), archive)
    else:
        made.add(item("x.tar"), archive)
        found = made.files()
        assert found[name] == b"\0"
        assert all(found.get(path, target) == target for path, target in links if path != name)


def test_a_file_of_another_uri_is_not_written_through_a_link(made: Made) -> None:
    made.add(item("x.tar"), a_tar({}, link("l", "/etc")))
    with pytest.raises(Permanent, match="written through the link 'l'"):
        made.add(item("l/passwd", unpack=False), b"x")


def test_a_hard_link_to_a_symbolic_link_becomes_one(made: Made) -> None:
    links = [link("l", "/etc"), link("h", "l", tarfile.LNKTYPE), a_file("h/evil")]
    with pytest.raises(Permanent, match="written through the link 'h' to '/etc'"):
        made.add(item("x.tar"), a_tar({}, *links))
    made.add(item("y.tar", cache=True), a_tar({}, *links[:2]))
    assert made.files()["h"] == "/etc"


def test_a_hard_link_to_a_missing_file_is_refused(made: Made) -> None:
    with pytest.raises(Permanent, match="'h' is a hard link to 'etc/passwd', which it does not"):
        made.add(item("x.tar"), a_tar(FILES, link("h", "/etc/passwd", tarfile.LNKTYPE)))


def test_links_tar_for_the_root_and_for_the_directory() -> None:
    links = {"l": "../x", "d/m": "../../../etc/y"}

    def written(*, from_root: bool) -> dict[str, str]:
        data = links_tar(links, "/mnt/box", from_root=from_root)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return {member.name: member.linkname for member in tar}

    assert written(from_root=True) == {"mnt/box/l": "../x", "mnt/box/d/m": "../../../etc/y"}
    assert written(from_root=False) == {"l": "/mnt/x", "d/m": "/etc/y"}


def test_docker_configs_and_their_archive_are_kept_out_of_the_sandbox(made: Made) -> None:
    secret = {".docker/config.json": b"{}", "other": b"1"}
    made.add(item("docker.tar.gz"), packed(ArchiveKind.TAR_GZ, secret))
    made.add(item(".dockercfg"), b"{2}")
    assert made.files() == {"other": b"1"}
    assert made.sandbox.configs == {".docker/config.json": b"{}", ".dockercfg": b"{2}"}


def test_a_docker_config_is_bounded_in_size(made: Made) -> None:
    with pytest.raises(Permanent, match=r"\.dockercfg has more than"):
        made.add(item(".dockercfg"), bytes(limits.DOCKER_CONFIG_BYTES + 1))


def test_no_files_mean_no_tar(made: Made) -> None:
    assert made.files() == {}


def test_a_directory_mounted_elsewhere_has_a_tar_of_its_own(tmp_path: Path) -> None:
    with Made(tmp_path, "dir") as made:
        made.add(item("x.tar", cache=True), a_tar(FILES | {"dir/sub/c": b"3"}))
        made.add(item("dir/d", unpack=False), b"4")
        assert made.files("dir") == {
            "b.sh": FILES["dir/b.sh"],
            "sub": "dir 755",
            "sub/c": b"3",
            "d": b"4",
        }
        assert made.files()["dir/d"] == b"4"


def test_an_unpacked_gz_is_bounded(tmp_path: Path) -> None:
    quota = UnpackQuota(1000)
    with Made(tmp_path, quota=quota) as made, pytest.raises(Permanent, match="than 1000 bytes"):
        made.add(item("x.gz"), gzip.compress(bytes(100_000)))


def test_a_broken_gz_is_refused(made: Made) -> None:
    with pytest.raises(Permanent, match="cannot be unpacked"):
        made.add(item("x.gz"), gzip.compress(bytes(100_000))[:-20])


def test_the_sandbox_directory_is_writable_for_every_user() -> None:
    with tarfile.open(fileobj=io.BytesIO(directory_tar("/mnt/mesos/sandbox", parents=True))) as tar:
        found = [(m.name, m.mode, m.isdir(), m.uid) for m in tar]
    assert found == [
        ("mnt", 0o755, True, 0),
        ("mnt/mesos", 0o755, True, 0),
        ("mnt/mesos/sandbox", 0o1777, True, 0),
    ]


@pytest.mark.parametrize(
    ("user", "root"),
    [("", True), ("root", True), ("0", True), ("0:1000", True), ("1000", False), ("www", False)],
)
def test_users_that_are_root(user: str, root: bool) -> None:
    assert is_root(user) is root


def test_the_sandbox_volume_is_added_to_those_of_the_task() -> None:
    spec = ContainerSpec("n", parse_image("i"), {"Volumes": {"/data": {}}, "Image": "i"})
    body = with_sandbox_volume(spec, "/mnt/mesos/sandbox").body
    assert body == {"Volumes": {"/data": {}, "/mnt/mesos/sandbox": {}}, "Image": "i"}
    assert spec.body["Volumes"] == {"/data": {}}
