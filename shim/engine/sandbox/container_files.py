"""Files that a task wrote into its sandbox, fetched out of its container for a page.

The files exist as long as the container. One fetch brings a file, or a directory with everything
below it. A fetch is bounded in size, and cached for a few seconds because pages poll.
"""

from __future__ import annotations

import asyncio
import io
import posixpath
import stat
import tarfile
from collections import OrderedDict
from dataclasses import dataclass, field

from shim import limits
from shim.engine.api import Engine
from shim.errors import NotFound, Permanent, Transient
from shim.model.container import Entry, Ref

_TYPES = {
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file with its content, or a directory with its direct entries."""

    is_directory: bool
    content: bytes = field(default=b"", repr=False)
    entries: tuple[Entry, ...] = ()
    link: str = ""
    """The target of a symbolic link, which has no content."""


class ContainerFiles:
    """Fetches by path relative to the sandbox directory. The empty path is that directory."""

    def __init__(self, engine: Engine, sandbox_directory: str) -> None:
        """Needs a running loop."""
        self._engine = engine
        self._root = posixpath.normpath(sandbox_directory)
        self._cache: OrderedDict[tuple[str, str], FetchedFile] = OrderedDict()
        self._sizes: dict[tuple[str, str], int] = {}
        self._fetching: dict[tuple[str, str], asyncio.Task[FetchedFile]] = {}
        self._slots = asyncio.Semaphore(limits.ARCHIVES_AT_ONCE)

    async def fetch(self, ref: Ref, path: str) -> FetchedFile:
        """Return a file or directory, following one symbolic link within the sandbox.

        NotFound, or Transient of the engine. Permanent for a file that is too large, a path out of
        the sandbox, or a link to a link.
        """
        found = await self._fetch_once(ref.name, self._absolute(path))
        if found.link:
            target = posixpath.join(self._root, posixpath.dirname(path), found.link)
            found = await self._fetch_once(ref.name, self._absolute(target))
            if found.link:
                raise Permanent(f"{path} is a link to a link")
        return found

    def _absolute(self, path: str) -> str:
        full = posixpath.normpath(posixpath.join(self._root, path))
        if full != self._root and not full.startswith(f"{self._root}/"):
            raise Permanent(f"{full} is not in the sandbox")
        return full

    async def _fetch_once(self, name: str, path: str) -> FetchedFile:
        """Fetch, with one call of the engine for all concurrent callers."""
        key = (name, path)
        if key in self._cache:
            return self._cache[key]
        task = self._fetching.get(key)
        if task is None:
            task = self._fetching[key] = asyncio.create_task(self._fetch(key))
            task.add_done_callback(lambda _: self._fetching.pop(key, None))
        return await asyncio.shield(task)

    async def _fetch(self, key: tuple[str, str]) -> FetchedFile:
        async with self._slots:
            tar = await self._engine.get_archive(*key, limits.ARCHIVE_BYTES)
            found = await asyncio.to_thread(_parse_archive, tar)
        self._add_to_cache(key, found)
        return found

    def _add_to_cache(self, key: tuple[str, str], found: FetchedFile) -> None:
        self._cache[key], self._sizes[key] = found, len(found.content)
        asyncio.get_running_loop().call_later(limits.ARCHIVE_AGE, self._evict, key)
        while sum(self._sizes.values()) > limits.ARCHIVES_HELD_BYTES:
            self._evict(next(iter(self._cache)))

    def _evict(self, key: tuple[str, str]) -> None:
        self._cache.pop(key, None)
        self._sizes.pop(key, None)

    async def close(self) -> None:
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _parse_archive(tar: bytes) -> FetchedFile:
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            top = archive.next()
            if top is None:
                raise NotFound("the engine sent an empty archive")
            if top.isdir():
                direct = [member for member in archive if _depth(member) == _depth(top) + 1]
                return FetchedFile(is_directory=True, entries=tuple(map(_entry, direct)))
            if top.issym():
                return FetchedFile(is_directory=False, link=top.linkname)
            content = archive.extractfile(top)
            return FetchedFile(is_directory=False, content=content.read() if content else b"")
    except tarfile.TarError as error:
        raise Transient(f"the engine sent no valid archive: {error}") from None


def _depth(member: tarfile.TarInfo) -> int:
    name = posixpath.normpath(member.name)
    return 0 if name == "." else name.count("/") + 1


def _entry(member: tarfile.TarInfo) -> Entry:
    kind = _TYPES.get(member.type, stat.S_IFREG)
    return Entry(
        name=posixpath.basename(member.name.rstrip("/")),
        size=member.size,
        mtime=float(member.mtime),
        mode=stat.filemode(kind | member.mode),
        nlink=2 if member.isdir() else 1,
        uid=member.uname or ("root" if member.uid == 0 else str(member.uid)),
        gid=member.gname or ("root" if member.gid == 0 else str(member.gid)),
    )
