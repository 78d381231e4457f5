"""Builds the tars that fill a container's sandbox. ``SandboxArchive`` blocks on the disk."""

from __future__ import annotations

import dataclasses
import io
import posixpath
import shutil
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from shim import limits
from shim.engine.api import ContainerSpec
from shim.engine.fetch.archive import (
    QuotaReader,
    Readable,
    UnpackQuota,
    archive_errors,
    decompressed,
    members,
)
from shim.engine.fetch.uris import ArchiveKind, FetchItem
from shim.engine.images.credentials import SANDBOX_FILES
from shim.errors import Permanent


def with_sandbox_volume(spec: ContainerSpec, directory: str) -> ContainerSpec:
    """Return the spec with an anonymous volume at the sandbox directory.

    The volume takes files even in a container with a read-only root, and is removed with the
    container. It costs a launch no time; an upload of the directory costs about 40 ms.
    """
    volumes = {**spec.body.get("Volumes", {}), directory: {}}
    return dataclasses.replace(spec, body={**spec.body, "Volumes": volumes})


def directory_tar(directory: str, *, parents: bool) -> bytes:
    """Return a tar of the sandbox directory, writable for every user.

    ``parents``: the tar holds the directories above as well.
    """
    buffer = io.BytesIO()
    path = directory.strip("/")
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        above = path.split("/")[:-1] if parents else []
        for count in range(1, len(above) + 1):
            tar.addfile(_directory("/".join(above[:count]), 0o755))
        tar.addfile(_directory(path, 0o1777))
    return buffer.getvalue()


def is_root(user: str) -> bool:
    """Return whether ``Config.User`` of a container is root."""
    return user.partition(":")[0] in ("", "root", "0")


class SandboxArchive:
    """One tar of the whole sandbox, and one of each directory mounted elsewhere.

    Docker configs are kept out of the tars: they are credentials for the pull.
    """

    def __init__(self, directory: Path, mounted: Sequence[str], quota: UnpackQuota) -> None:
        """``mounted``: paths in the sandbox. ``directory``: on the agent's disk, for the tars."""
        self._directory = directory
        self._quota = quota
        self._tars: Mapping[str, _PartTar] = {
            part: _PartTar(directory / f"sandbox-{number}.tar", part)
            for number, part in enumerate(["", *mounted])
        }
        self.configs: dict[str, bytes] = {}

    @property
    def tars(self) -> Mapping[str, Path]:
        """Tar by directory of the sandbox, ``""`` for all of it. Empty ones are left out.

        Call ``close`` before.
        """
        return {part: tar.path for part, tar in self._tars.items() if tar.count}

    def close(self) -> None:
        for tar in self._tars.values():
            tar.close()

    def add(self, item: FetchItem, file: BinaryIO) -> None:
        """Add a fetched file, unpacked if it is an archive. Raises Permanent that names the URI."""
        try:
            self._add(item, file)
        except Permanent as error:
            raise Permanent(f"{item.printable_url}: {error}") from None

    def _add(self, item: FetchItem, file: BinaryIO) -> None:
        known = len(self.configs)
        if item.kind is ArchiveKind.GZ:
            self._gunzip(item, file)
        elif item.kind is not None:
            with archive_errors():
                for member, content in members(item.kind, file, self._quota):
                    self._add_member(member, content)
        if item.kind is None or not (item.cache or len(self.configs) > known):
            file.seek(0)
            self._add_file(item.name, file, 0o755 if item.executable else 0o644)

    def _gunzip(self, item: FetchItem, file: BinaryIO) -> None:
        """Unpack to a file first: the tar's header needs the size."""
        path = self._directory / "unpacked"
        with path.open("w+b") as unpacked:
            with archive_errors():
                shutil.copyfileobj(
                    QuotaReader(decompressed(ArchiveKind.GZ, file), self._quota), unpacked
                )
            unpacked.seek(0)
            self._add_file(posixpath.basename(item.name).removesuffix(".gz"), unpacked, 0o644)
        path.unlink()

    def _add_file(self, name: str, file: BinaryIO, mode: int) -> None:
        member = tarfile.TarInfo(name)
        member.mode, member.mtime = mode, int(time.time())
        member.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._quota.use_member()
        self._add_member(member, QuotaReader(file, self._quota))

    def _add_member(self, member: tarfile.TarInfo, content: Readable | None) -> None:
        if member.name in SANDBOX_FILES and content is not None:
            self.configs[member.name] = _read_config(content, member.name)
            return
        if member.name == posixpath.dirname(SANDBOX_FILES[0]) and member.isdir():
            return
        first, *others = self._tars.values()
        at = first.add(member, content)
        for tar in others:
            if tar.contains(member.name):
                with first.path.open("rb") as again:
                    again.seek(at)
                    tar.add(member, again)


class _PartTar:
    """A tar file of everything below the directory ``part`` of the sandbox."""

    def __init__(self, path: Path, part: str) -> None:
        self.path = path
        self.count = 0
        self._prefix = f"{part}/" if part and part != "." else ""
        self._file = path.open("wb")
        self._tar = tarfile.TarFile(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)
        self._directories = {""}

    def contains(self, name: str) -> bool:
        return name.startswith(self._prefix)

    def add(self, member: tarfile.TarInfo, content: Readable | None) -> int:
        """Add a member. Return the offset of its content in the tar."""
        name = member.name.removeprefix(self._prefix)
        self._add_parents(posixpath.dirname(name))
        if member.isdir():
            self._directories.add(name)
        self.count += 1
        self._tar.addfile(member.replace(name=name, linkname=self._link(member)), content)
        self._tar.members.clear()  # type: ignore[attr-defined]
        self._file.flush()
        padded = -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        return self._tar.offset - padded

    def _link(self, member: tarfile.TarInfo) -> str:
        """Return the link target for this tar. A hard link names its file from the tar's root."""
        if member.islnk() and not self.contains(member.linkname):
            raise Permanent(f"{member.name!r} is a link to outside of {self._prefix!r}")
        return member.linkname.removeprefix(self._prefix) if member.islnk() else member.linkname

    def _add_parents(self, directory: str) -> None:
        if directory not in self._directories:
            self._add_parents(posixpath.dirname(directory))
            self._directories.add(directory)
            self._tar.addfile(_directory(directory, 0o755))

    def close(self) -> None:
        self._tar.close()
        self._file.close()


def _read_config(content: Readable, name: str) -> bytes:
    data = content.read(limits.DOCKER_CONFIG_BYTES + 1)
    if len(data) > limits.DOCKER_CONFIG_BYTES:
        raise Permanent(f"{name} has more than {limits.DOCKER_CONFIG_BYTES} bytes")
    return data


def _directory(name: str, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = tarfile.DIRTYPE, mode, int(time.time())
    return member
