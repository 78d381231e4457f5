"""Archives of every kind, damaged and malicious ones included."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zipfile

import pytest

from shim import limits
from shim.engine.fetch.archive import UnpackQuota, archive_errors, members
from shim.engine.fetch.uris import ArchiveKind
from shim.errors import Permanent
from tests.engine.fetch.archives import FILES, a_tar, a_zip, link, packed

ARCHIVES = [
    ArchiveKind.TAR,
    ArchiveKind.TAR_GZ,
    ArchiveKind.TAR_BZ2,
    ArchiveKind.TAR_XZ,
    ArchiveKind.ZIP,
]
Found = dict[str, tuple[tarfile.TarInfo, bytes]]


def read(kind: ArchiveKind, data: bytes, quota: UnpackQuota | None = None) -> Found:
    found = {}
    with archive_errors():
        for member, content in members(kind, io.BytesIO(data), quota or UnpackQuota()):
            found[member.name] = (member, content.read() if content is not None else b"")
    return found


def refusal(kind: ArchiveKind, data: bytes, quota: UnpackQuota | None = None) -> str:
    with pytest.raises(Permanent) as caught:
        read(kind, data, quota)
    return str(caught.value)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_every_kind_is_read(kind: ArchiveKind) -> None:
    found = read(kind, packed(kind))
    assert {name: content for name, (_, content) in found.items()} == FILES
    script = found["dir/b.sh"][0]
    assert (script.mode, script.uid, script.uname) == (0o755, 0, "")


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_truncated_archive_is_refused(kind: ArchiveKind, part: float) -> None:
    data = packed(kind, {"a": bytes(range(256)) * 400})
    assert "cannot be unpacked" in refusal(kind, data[: int(len(data) * part)])


@pytest.mark.parametrize("kind", ARCHIVES)
def test_garbage_is_refused(kind: ArchiveKind) -> None:
    assert "the archive cannot be unpacked" in refusal(kind, b"<html>404 not found</html>" * 40)


def test_names_are_cleaned() -> None:
    found = read(ArchiveKind.TAR, a_tar({"./x//y": b"1", "/abs/z": b"2"}))
    assert sorted(found) == ["abs/z", "x/y"]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "a/../b", "/../x"])
def test_a_name_with_parent_directories_is_refused(name: str) -> None:
    expected = f"the archive leads out of the sandbox: {name!r}"
    assert refusal(ArchiveKind.TAR, a_tar({name: b""})) == expected
    assert refusal(ArchiveKind.ZIP, a_zip({name: b""})) == expected


def test_an_extended_header_does_not_override_the_clean_name() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("harmless")
        member.pax_headers = {"path": "../../etc/x"}
        tar.addfile(member)
    assert "leads out" in refusal(ArchiveKind.TAR, buffer.getvalue())
    good = io.BytesIO()
    with tarfile.open(fileobj=good, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("./" + "n" * 200)
        member.pax_headers = {"comment": "x"}
        tar.addfile(member)
    ((member, _),) = read(ArchiveKind.TAR, good.getvalue()).values()
    assert (member.name, member.pax_headers) == ("n" * 200, {})


@pytest.mark.parametrize(
    "bad",
    [
        link("l", "../x", tarfile.LNKTYPE),
        link("l", "/../x", tarfile.LNKTYPE),
        link("l", "a/../x", tarfile.LNKTYPE),
        link("l", "", tarfile.CHRTYPE),
        link("l", "", tarfile.BLKTYPE),
        link("l", "", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}-{member.linkname or member.type}",
)
def test_hard_links_out_of_the_archive_and_devices_are_refused(bad: tarfile.TarInfo) -> None:
    assert "leads out of the sandbox" in refusal(ArchiveKind.TAR, a_tar(FILES, bad))


@pytest.mark.parametrize(
    "target",
    ["a.txt", "/usr/bin/python3", "../../../etc/ssl/certs/x", "a/../../x", "a/..", "dir//b.sh"],
)
def test_symbolic_links_keep_their_targets(target: str) -> None:
    found = read(ArchiveKind.TAR, a_tar(FILES, link("l", target), link("dir/l", target)))
    assert [found[name][0].linkname for name in ("l", "dir/l")] == [target, target]


def test_a_symbolic_link_without_a_target_is_refused() -> None:
    assert "without a target: 'l'" in refusal(ArchiveKind.TAR, a_tar(FILES, link("l", "")))


@pytest.mark.parametrize("target", ["a.txt", "/a.txt", "./a.txt"])
def test_hard_links_name_a_member_by_its_clean_name(target: str) -> None:
    found = read(ArchiveKind.TAR, a_tar(FILES, link("h", target, tarfile.LNKTYPE)))["h"][0]
    assert (found.type, found.size, found.linkname) == (tarfile.LNKTYPE, 0, "a.txt")


@pytest.mark.parametrize("target", ["a.txt", "../../etc/passwd", "/etc/passwd"])
def test_symbolic_links_of_a_zip_keep_their_targets(target: str) -> None:
    def linking(target: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            entry = zipfile.ZipInfo("l")
            entry.create_system, entry.external_attr = 3, 0o120777 << 16
            archive.writestr(entry, target)
        return buffer.getvalue()

    found = read(ArchiveKind.ZIP, linking(target.encode()))["l"][0]
    assert (found.issym(), found.linkname) == (True, target)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_unpacked_bytes_are_bounded(kind: ArchiveKind) -> None:
    data = packed(kind, {"zeros": bytes(5_000_000)})
    assert refusal(kind, data, UnpackQuota(1_000_000)) == (
        "unpacked, the files have more than 1000000 bytes"
    )


@pytest.mark.parametrize("kind", [ArchiveKind.TAR, ArchiveKind.ZIP])
def test_members_are_bounded(kind: ArchiveKind) -> None:
    data = packed(kind, {str(number): b"" for number in range(100)})
    assert refusal(kind, data, UnpackQuota(members=99)) == "there are more than 99 files"


def test_a_sparse_file_counts_with_its_full_size() -> None:
    """An old GNU sparse member: one block that stands for a terabyte."""
    header = tarfile.TarInfo("holes")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 0
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[386:398] = block[398:410] = b"00000000000\0"
    block[483:495] = b"\x80" + (2**40).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert "more than" in refusal(ArchiveKind.TAR, bytes(block) + bytes(1024))


def test_a_header_is_bounded_in_size() -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, limits.ARCHIVE_HEADER_BYTES + 1
    data = header.tobuf(tarfile.GNU_FORMAT) + bytes(2 * limits.ARCHIVE_HEADER_BYTES)
    assert "a header of" in refusal(ArchiveKind.TAR, data)


def test_an_xz_that_needs_too_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "XZ_MEMORY", 1_000_000)
    assert "emory" in refusal(ArchiveKind.TAR_XZ, lzma.compress(a_tar(), preset=9))


def test_an_xz_of_several_streams_is_read() -> None:
    data = a_tar()
    assert sorted(
        read(ArchiveKind.TAR_XZ, lzma.compress(data[:700]) + lzma.compress(data[700:]))
    ) == [*FILES]


def test_a_zip_with_an_oversized_directory_is_refused() -> None:
    data = bytearray(a_zip())
    at = data.rfind(b"PK\x05\x06")
    struct.pack_into("<I", data, at + 12, 2**31)
    assert "table of contents" in refusal(ArchiveKind.ZIP, bytes(data))


def test_unsupported_zips_are_named() -> None:
    assert "method 14" in refusal(ArchiveKind.ZIP, a_zip(method=zipfile.ZIP_LZMA))
    data = bytearray(a_zip())
    at = data.find(b"PK\x01\x02")
    data[at + 8] |= 1
    assert refusal(ArchiveKind.ZIP, bytes(data)) == "the zip is encrypted"


def test_a_wrong_checksum_is_named() -> None:
    bad = bytearray(a_zip(method=zipfile.ZIP_STORED))
    bad[bad.find(b"hello")] ^= 1
    assert "Bad CRC" in refusal(ArchiveKind.ZIP, bytes(bad))


def test_a_cancelled_quota_ends_the_reading() -> None:
    quota = UnpackQuota()
    quota.cancel()
    assert refusal(ArchiveKind.TAR, a_tar(), quota) == "cancelled"
