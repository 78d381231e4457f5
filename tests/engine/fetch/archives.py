"""Archives for the tests, good and bad ones."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Mapping

from shim.engine.fetch.uris import ArchiveKind

FILES = {"a.txt": b"hello", "dir/b.sh": b"#!/bin/sh\n"}


def a_tar(files: Mapping[str, bytes] = FILES, *extra: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o4777 if name.endswith(".sh") else 0o640
            member.uid, member.uname = 1234, "builder"
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def a_zip(files: dict[str, bytes] = FILES, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            entry.external_attr = (0o100755 if name.endswith(".sh") else 0o100644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def packed(kind: ArchiveKind, files: dict[str, bytes] = FILES) -> bytes:
    match kind:
        case ArchiveKind.ZIP:
            return a_zip(files)
        case ArchiveKind.TAR_GZ:
            return gzip.compress(a_tar(files), mtime=0)
        case ArchiveKind.TAR_BZ2:
            return bz2.compress(a_tar(files))
        case ArchiveKind.TAR_XZ:
            return lzma.compress(a_tar(files))
        case _:
            return a_tar(files)
