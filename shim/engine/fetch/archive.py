"""Reads untrusted archives as a bounded stream of checked members. Blocking.

Nothing is unpacked on the agent's disk. Members go from the archive straight into the tar that is
put into the container: no path or link of an archive is ever used on the agent's file system.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO, Protocol

from shim import limits
from shim.engine.fetch.uris import ArchiveKind
from shim.errors import Permanent

_FAKE_ROOT = "/nowhere/sandbox"
"""The directory that tarfile's filter resolves paths against. It must not exist."""
_LONG = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_ZIP_END = b"PK\x05\x06"

_BAD_ARCHIVE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    struct.error,
)


class Readable(Protocol):
    """The content of a member."""

    def read(self, size: int = -1, /) -> bytes: ...


Member = tuple[tarfile.TarInfo, Readable | None]
"""A header with a clean relative name, and the content of a file."""


class UnpackQuota:
    """Bytes and members that the files of one task may have. Exceeding it raises Permanent."""

    def __init__(
        self,
        size: int = limits.UNPACKED_BYTES,
        members: int = limits.UNPACKED_MEMBERS,
    ) -> None:
        self._size = self._left = size
        self._members = self._members_left = members
        self._cancelled = False

    def cancel(self) -> None:
        """End the work that uses the quota, from another thread, at its next use."""
        self._cancelled = True

    def use_bytes(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Permanent(f"unpacked, the files have more than {self._size} bytes")
        if self._cancelled:
            raise Permanent("cancelled")

    def use_member(self) -> None:
        self._members_left -= 1
        if self._members_left < 0:
            raise Permanent(f"there are more than {self._members} files")


@contextmanager
def archive_errors() -> Iterator[None]:
    """Convert the exceptions of a bad archive to Permanent."""
    try:
        yield
    except tarfile.FilterError as error:
        raise Permanent(f"the archive leads out of the sandbox or to a device: {error}") from None
    except _BAD_ARCHIVE_ERRORS as error:
        raise Permanent(f"the archive cannot be unpacked: {error}") from None


def members(kind: ArchiveKind, file: BinaryIO, quota: UnpackQuota) -> Iterator[Member]:
    """Yield the members of an archive. Read a content before the next member."""
    return _zip(file, quota) if kind is ArchiveKind.ZIP else _tar(kind, file, quota)


def decompressed(kind: ArchiveKind, file: BinaryIO) -> Readable:
    """Return the decompressed stream. Reading damaged data: ValueError, OSError, EOFError."""
    if kind in (ArchiveKind.TAR_GZ, ArchiveKind.GZ):
        return gzip.GzipFile(fileobj=file)
    if kind is ArchiveKind.TAR_BZ2:
        return bz2.BZ2File(file)
    if kind is ArchiveKind.TAR_XZ:
        return io.BufferedReader(_Xz(file))
    return file


class _Xz(io.RawIOBase):
    """An xz stream with bounded memory, which LZMAFile does not offer."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = self._new()

    def _new(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=limits.XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        while True:
            data = b""
            if self._decoder.eof:
                data = (self._decoder.unused_data or self._file.read(65_536)).lstrip(b"\0")
                if not data:
                    return 0
                self._decoder = self._new()
            elif self._decoder.needs_input:
                data = self._file.read(65_536)
                if not data:
                    raise EOFError("the compressed data ends too early")
            piece = self._decoder.decompress(data, len(buffer))
            if piece:
                buffer[: len(piece)] = piece
                return len(piece)


class QuotaReader(io.RawIOBase):
    """A stream that counts every byte read against a quota."""

    def __init__(self, file: Readable, quota: UnpackQuota) -> None:
        self._file = file
        self._quota = quota

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._quota.use_bytes(len(data))
        return data


class _Header(tarfile.TarInfo):
    """A header that refuses oversized extended headers, which tarfile reads into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _LONG and header.size > limits.ARCHIVE_HEADER_BYTES:
            raise Permanent(f"a header of {header.size} bytes in the archive")
        return header


def _tar(kind: ArchiveKind, file: BinaryIO, quota: UnpackQuota) -> Iterator[Member]:
    stream = QuotaReader(decompressed(kind, file), quota)
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as tar:
        for found in tar:
            quota.use_member()
            member = _clean_member(found)
            if member is None:
                continue
            if found.issparse():
                quota.use_bytes(found.size)
            yield member, tar.extractfile(found) if found.isreg() else None
            tar.members.clear()  # type: ignore[attr-defined]


def _zip(file: BinaryIO, quota: UnpackQuota) -> Iterator[Member]:
    _check_zip_directory(file)
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            quota.use_member()
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Permanent(
                    f"a member of the zip is compressed by method {entry.compress_type}"
                )
            if entry.flag_bits & 1:
                raise Permanent("the zip is encrypted")
            with closing(QuotaReader(archive.open(entry), quota)) as content:
                member = _clean_member(_tar_header_of(entry, content))
                if member is not None:
                    yield member, content if member.isreg() else None


def _check_zip_directory(file: BinaryIO) -> None:
    """Refuse a central directory that is too large: zipfile reads it at once."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 65_557))
    tail = file.read()
    at = tail.rfind(_ZIP_END)
    if at < 0 or len(tail) < at + 22:
        raise Permanent("the archive cannot be unpacked: it is no zip file, or not a whole one")
    (table,) = struct.unpack_from("<I", tail, at + 12)
    if table > limits.ARCHIVE_DIRECTORY_BYTES:
        raise Permanent(f"a table of contents of {table} bytes in the zip")
    file.seek(0)


def _tar_header_of(entry: zipfile.ZipInfo, content: QuotaReader) -> tarfile.TarInfo:
    """Return the tar header of a zip's entry. Only zips made on Unix hold modes and links."""
    member = tarfile.TarInfo(entry.filename)
    mode = entry.external_attr >> 16
    member.mode = stat.S_IMODE(mode) or 0o644
    member.size = entry.file_size
    if entry.is_dir():
        member.type, member.mode, member.size = tarfile.DIRTYPE, 0o755, 0
    elif stat.S_ISLNK(mode):
        member.type, member.size = tarfile.SYMTYPE, 0
        member.linkname = content.read(4096).decode("utf-8", "surrogateescape")
    return member


def _clean_member(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Return a new header with a clean name and a harmless mode. None for the root itself.

    Absolute names become relative, as by ``tar``. Names that climb, hard links that do, and devices
    are refused. A symbolic link keeps its target, wherever it leads: ``SandboxArchive`` refuses
    members that would be written through one. Nothing else of the old header is kept: its extended
    attributes would override the clean name.
    """
    for path in (member.name, member.linkname if member.islnk() else ""):
        if ".." in path.split("/"):
            raise Permanent(f"the archive leads out of the sandbox: {path!r}")
    if member.issym() and not member.linkname:
        raise Permanent(f"the archive holds a link without a target: {member.name!r}")
    is_link = member.issym() or member.islnk()
    safe = tarfile.data_filter(member.replace(linkname="-") if is_link else member, _FAKE_ROOT)
    name = posixpath.normpath(safe.name)
    if name == ".":
        return None
    clean = tarfile.TarInfo(name)
    clean.type = tarfile.REGTYPE if member.isreg() else member.type
    clean.mode = 0o755 if safe.mode is None else safe.mode
    clean.size = member.size if member.isreg() else 0
    clean.mtime = int(member.mtime)
    clean.linkname = member.linkname
    if member.islnk():
        clean.linkname = posixpath.normpath(member.linkname.lstrip("/"))
    return clean
