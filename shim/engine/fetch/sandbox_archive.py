"""The tars that make a container's sandbox. Blocking where files are written; else pure."""

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
from shim.engine.fetch.archive import Budget, Readable, Spending, damage, decompressed, members
from shim.engine.fetch.uris import ArchiveKind, Item
from shim.engine.images.credentials import SANDBOX_FILES
from shim.errors import Permanent


def with_sandbox_volume(spec: ContainerSpec, directory: str) -> ContainerSpec:
    """The spec with an anonymous volume at the sandbox directory.

    It costs nothing, where putting an empty directory into the container costs a launch about
    40 ms; it takes files when the root file system is read-only; and it goes with the container.
    """
    volumes = {**spec.body.get("Volumes", {}), directory: {}}
    return dataclasses.replace(spec, body={**spec.body, "Volumes": volumes})


def directory_tar(directory: str, *, parents: bool) -> bytes:
    """The sandbox directory, for everybody to write in; with ``parents`` those above it too."""
    buffer = io.BytesIO()
    path = directory.strip("/")
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        above = path.split("/")[:-1] if parents else []
        for count in range(1, len(above) + 1):
            tar.addfile(_directory("/".join(above[:count]), 0o755))
        tar.addfile(_directory(path, 0o1777))
    return buffer.getvalue()


def is_root(user: str) -> bool:
    """Whether ``Config.User`` of a container is the superuser."""
    return user.partition(":")[0] in ("", "root", "0")


class SandboxArchive:
    """Grows the sandbox's tar, and one for each sandbox directory that is seen elsewhere too.

    Docker configs are kept apart: they are for the pull, and not for the task to read.
    """

    def __init__(self, directory: Path, elsewhere: Sequence[str], budget: Budget) -> None:
        """``elsewhere`` are directories of the sandbox, relative to it."""
        self._directory = directory
        self._budget = budget
        self._tars: Mapping[str, _Tar] = {
            part: _Tar(directory / f"sandbox-{number}.tar", part)
            for number, part in enumerate(["", *elsewhere])
        }
        self.configs: dict[str, bytes] = {}

    @property
    def tars(self) -> Mapping[str, Path]:
        """By directory of the sandbox, ``""`` for the whole; where there are files. After close."""
        return {part: tar.path for part, tar in self._tars.items() if tar.count}

    def close(self) -> None:
        for tar in self._tars.values():
            tar.close()

    def add(self, item: Item, file: BinaryIO) -> None:
        """What was fetched becomes part of the sandbox. Permanent, naming the URI, otherwise."""
        try:
            self._add(item, file)
        except Permanent as error:
            raise Permanent(f"{item.shown}: {error}") from None

    def _add(self, item: Item, file: BinaryIO) -> None:
        known = len(self.configs)
        if item.kind is ArchiveKind.GZ:
            self._gunzip(item, file)
        elif item.kind is not None:
            with damage():
                for member, content in members(item.kind, file, self._budget):
                    self._put(member, content)
        if item.kind is None or not (item.cache or len(self.configs) > known):
            file.seek(0)
            self._put_file(item.name, file, 0o755 if item.executable else 0o644)

    def _gunzip(self, item: Item, file: BinaryIO) -> None:
        """Its size is known only afterwards, and a tar wants it before."""
        path = self._directory / "unpacked"
        with path.open("w+b") as unpacked:
            with damage():
                shutil.copyfileobj(
                    Spending(decompressed(ArchiveKind.GZ, file), self._budget), unpacked
                )
            unpacked.seek(0)
            self._put_file(posixpath.basename(item.name).removesuffix(".gz"), unpacked, 0o644)
        path.unlink()

    def _put_file(self, name: str, file: BinaryIO, mode: int) -> None:
        member = tarfile.TarInfo(name)
        member.mode, member.mtime = mode, int(time.time())
        member.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._budget.count()
        self._put(member, Spending(file, self._budget))

    def _put(self, member: tarfile.TarInfo, content: Readable | None) -> None:
        if member.name in SANDBOX_FILES and content is not None:
            self.configs[member.name] = _small(content, member.name)
            return
        if member.name == posixpath.dirname(SANDBOX_FILES[0]) and member.isdir():
            return
        first, *others = self._tars.values()
        at = first.add(member, content)
        for tar in others:
            if tar.holds(member.name):
                with first.path.open("rb") as again:
                    again.seek(at)
                    tar.add(member, again)


class _Tar:
    """One tar in a file, of what is below ``part`` of the sandbox."""

    def __init__(self, path: Path, part: str) -> None:
        self.path = path
        self.count = 0
        self._prefix = f"{part}/" if part and part != "." else ""
        self._file = path.open("wb")
        self._tar = tarfile.TarFile(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)
        self._made = {""}

    def holds(self, name: str) -> bool:
        return name.startswith(self._prefix)

    def add(self, member: tarfile.TarInfo, content: Readable | None) -> int:
        """Returns where in the file the content begins."""
        name = member.name.removeprefix(self._prefix)
        self._make(posixpath.dirname(name))
        if member.isdir():
            self._made.add(name)
        self.count += 1
        self._tar.addfile(member.replace(name=name, linkname=self._link(member)), content)
        self._tar.members.clear()  # type: ignore[attr-defined]
        self._file.flush()
        padded = -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        return self._tar.offset - padded

    def _link(self, member: tarfile.TarInfo) -> str:
        """A hard link names its file by the whole path."""
        if member.islnk() and not self.holds(member.linkname):
            raise Permanent(f"{member.name!r} is a link to outside of {self._prefix!r}")
        return member.linkname.removeprefix(self._prefix) if member.islnk() else member.linkname

    def _make(self, directory: str) -> None:
        if directory not in self._made:
            self._make(posixpath.dirname(directory))
            self._made.add(directory)
            self._tar.addfile(_directory(directory, 0o755))

    def close(self) -> None:
        self._tar.close()
        self._file.close()


def _small(content: Readable, name: str) -> bytes:
    data = content.read(limits.DOCKER_CONFIG_BYTES + 1)
    if len(data) > limits.DOCKER_CONFIG_BYTES:
        raise Permanent(f"{name} has more than {limits.DOCKER_CONFIG_BYTES} bytes")
    return data


def _directory(name: str, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = tarfile.DIRTYPE, mode, int(time.time())
    return member
