"""Builds the tars that fill a container's sandbox. ``SandboxArchive`` blocks on the disk."""

from __future__ import annotations

import dataclasses
import io
import posixpath
import shutil
import tarfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

_LINKS_FOLLOWED = 40
"""Links followed for one path, as by Linux."""


def with_sandbox_volume(spec: ContainerSpec, directory: str) -> ContainerSpec:
    """Return the spec with an anonymous volume at the sandbox directory.

    The volume takes files even in a container with a read-only root, and is removed with the
    container. It costs a launch no time; an upload of the directory costs about 40 ms.
    """
    volumes = {**spec.body.get("Volumes", {}), directory: {}}
    return dataclasses.replace(spec, body={**spec.body, "Volumes": volumes})


def directory_tar(*directories: str, parents: bool) -> bytes:
    """Return a tar of directories, writable for every user.

    ``parents``: the tar holds the directories above the first as well.
    """
    buffer = io.BytesIO()
    path = directories[0].strip("/")
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        above = path.split("/")[:-1] if parents else []
        for count in range(1, len(above) + 1):
            tar.addfile(_directory("/".join(above[:count]), 0o755))
        for directory in directories:
            tar.addfile(_directory(directory.strip("/"), 0o1777))
    return buffer.getvalue()


def links_tar(links: Mapping[str, str], destination: str, *, from_root: bool) -> bytes:
    """Return a tar of symbolic links, given as target by path below ``destination``.

    An engine refuses a relative link out of the directory that it extracts to. ``from_root``: the
    tar is for the container's root, and targets are kept. Otherwise the tar is for ``destination``,
    and targets become absolute: the root of a container may be read-only.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, target in links.items():
            full = posixpath.join(destination, name)
            member = tarfile.TarInfo(full.lstrip("/") if from_root else name)
            member.type, member.mtime = tarfile.SYMTYPE, int(time.time())
            resolved = posixpath.normpath(posixpath.join(posixpath.dirname(full), target))
            member.linkname = target if from_root else resolved
            tar.addfile(member)
    return buffer.getvalue()


def is_root(user: str) -> bool:
    """Return whether ``Config.User`` of a container is root."""
    return user.partition(":")[0] in ("", "root", "0")


@dataclass(frozen=True, slots=True)
class SandboxTar:
    """The files of one directory of the sandbox, for the engine to extract."""

    path: Path
    """A tar on the agent's disk."""
    outside_links: Mapping[str, str]
    """Relative symbolic links that lead out of the directory: target by name. Not in the tar."""


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
        self._symlinks: dict[str, str] = {}
        """Target by name, of all symbolic links of the sandbox."""
        self._files: set[str] = set()
        """Names of everything that a hard link may name."""

    @property
    def tars(self) -> Mapping[str, SandboxTar]:
        """Tar by directory of the sandbox, ``""`` for all of it. Empty ones are left out.

        Call ``close`` before.
        """
        return {
            part: SandboxTar(tar.path, tar.outside_links)
            for part, tar in self._tars.items()
            if tar.count
        }

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
        self._refuse_path_through_link(member.name)
        member = self._resolve_hard_link(member)
        self._record(member)
        first, *others = self._tars.values()
        at = first.add(member, content)
        for tar in others:
            if tar.contains(member.name):
                with first.path.open("rb") as again:
                    again.seek(at)
                    tar.add(member, again)

    def _refuse_path_through_link(self, name: str) -> None:
        """Refuse a member below a link that may lead out of the sandbox, as ``tar`` does.

        Plain relative links within the sandbox are followed.
        """
        parts, parents = deque(name.split("/")[:-1]), list[str]()
        followed = 0
        while parts:
            path = "/".join((*parents, parts[0]))
            target = self._symlinks.get(path)
            if target is None:
                parents.append(parts.popleft())
                continue
            followed += 1
            steps = [step for step in target.split("/") if step not in ("", ".")]
            if target.startswith("/") or ".." in steps or followed > _LINKS_FOLLOWED:
                raise Permanent(
                    f"the archive leads out of the sandbox: {name!r} is written through the link"
                    f" {path!r} to {target!r}"
                )
            parts.popleft()
            parts.extendleft(reversed(steps))

    def _resolve_hard_link(self, member: tarfile.TarInfo) -> tarfile.TarInfo:
        """Return the member. A hard link to a symbolic link becomes a symbolic link like it."""
        if not member.islnk():
            return member
        if member.linkname not in self._files:
            raise Permanent(
                f"the archive cannot be unpacked: {member.name!r} is a hard link to"
                f" {member.linkname!r}, which it does not hold"
            )
        target = self._symlinks.get(member.linkname)
        if target is None:
            return member
        link = tarfile.TarInfo(member.name)
        link.type, link.linkname, link.mtime = tarfile.SYMTYPE, target, member.mtime
        return link

    def _record(self, member: tarfile.TarInfo) -> None:
        """Note what stands at the member's name, in place of any earlier member."""
        self._symlinks.pop(member.name, None)
        self._files.discard(member.name)
        if member.issym():
            self._symlinks[member.name] = member.linkname
        if not member.isdir():
            self._files.add(member.name)


class _PartTar:
    """A tar file of everything below the directory ``part`` of the sandbox."""

    def __init__(self, path: Path, part: str) -> None:
        self.path = path
        self.count = 0
        self._prefix = f"{part}/" if part and part != "." else ""
        self._file = path.open("wb")
        self._tar = tarfile.TarFile(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)
        self._directories = {""}
        self.outside_links: dict[str, str] = {}

    def contains(self, name: str) -> bool:
        return name.startswith(self._prefix)

    def add(self, member: tarfile.TarInfo, content: Readable | None) -> int:
        """Add a member. Return the offset of its content in the tar."""
        name = member.name.removeprefix(self._prefix)
        self._add_parents(posixpath.dirname(name))
        if member.isdir() or member.issym():
            # A directory header for a link's name would replace the link.
            self._directories.add(name)
        self.count += 1
        self.outside_links.pop(name, None)
        if member.issym() and _leads_outside(name, member.linkname):
            self.outside_links[name] = member.linkname
            return self._tar.offset
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


def _leads_outside(name: str, target: str) -> bool:
    """Whether a relative link leads out of the tree that it is extracted to."""
    if target.startswith("/"):
        return False
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target)).split("/")[0] == ".."


def _read_config(content: Readable, name: str) -> bytes:
    data = content.read(limits.DOCKER_CONFIG_BYTES + 1)
    if len(data) > limits.DOCKER_CONFIG_BYTES:
        raise Permanent(f"{name} has more than {limits.DOCKER_CONFIG_BYTES} bytes")
    return data


def _directory(name: str, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = tarfile.DIRTYPE, mode, int(time.time())
    return member
