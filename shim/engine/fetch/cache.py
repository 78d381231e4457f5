"""The fetcher cache: files of URIs with ``cache: true``, downloaded once and kept on disk.

A full cache evicts the least recently used file. A start of the agent empties the cache. A file
that is open can be read to its end after its eviction.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Key = tuple[str, str]
"""The task's user and the URI as written."""


@dataclass(slots=True)
class _Download:
    """One download and the number of its waiters."""

    task: asyncio.Task[Path]
    waiters: int = 0


@dataclass(frozen=True, slots=True)
class _CachedFile:
    path: Path
    size: int


class FetcherCache:
    """Bounded in bytes. The methods block only to open and to remove a file."""

    def __init__(self, directory: Path, size: int) -> None:
        """Empties the directory, which holds nothing else. ``size`` is in bytes."""
        self._directory = directory
        self.size = size
        self._files: OrderedDict[Key, _CachedFile] = OrderedDict()
        self._downloads: dict[Key, _Download] = {}
        self._names = itertools.count()
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, mode=0o700)

    @property
    def used(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self._files.values())

    async def open(self, key: Key, fetch: Callable[[Path], Awaitable[None]]) -> BinaryIO:
        """Return the open file, downloaded by ``fetch`` when missing. The caller closes it.

        Concurrent callers with the same key share one download. Cancelling all of them cancels it.
        """
        if file := self._files.get(key):
            self._files.move_to_end(key)
            return _open(file.path)
        download = self._downloads.get(key)
        if download is None:
            download = self._downloads[key] = _Download(asyncio.create_task(self._fetch(fetch)))
        return await self._wait(key, download)

    async def _wait(self, key: Key, fetch: _Download) -> BinaryIO:
        fetch.waiters += 1
        try:
            return _open(await asyncio.shield(fetch.task))
        finally:
            fetch.waiters -= 1
            if not fetch.waiters:
                self._finish(key, fetch)

    async def _fetch(self, fetch: Callable[[Path], Awaitable[None]]) -> Path:
        path = self._directory / str(next(self._names))
        try:
            await fetch(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _finish(self, key: Key, fetch: _Download) -> None:
        """Keep the file when all waiters have opened it. Cancel a download without waiters."""
        del self._downloads[key]
        if fetch.task.cancel() or fetch.task.cancelled() or fetch.task.exception():
            return
        path = fetch.task.result()
        self._add(key, _CachedFile(path, path.stat().st_size))

    def _add(self, key: Key, fetched: _CachedFile) -> None:
        """Add a file and evict others. A file larger than the cache is not kept."""
        self._files[key] = fetched
        while self._files and self.used > self.size:
            evicted = key if fetched.size > self.size else next(iter(self._files))
            self._files.pop(evicted).path.unlink()


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
