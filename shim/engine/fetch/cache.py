"""Files of URIs with ``cache: true``: fetched once, kept while there is room.

The same URI means the same content until it is dropped, the least recently used first, or the
agent starts anew. Whoever was given a file may read it to its end, dropped or not.
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
"""The task's user, and the URI as it is written."""


@dataclass(slots=True)
class _Fetch:
    """One download and how many wait for it."""

    task: asyncio.Task[Path]
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    size: int


class Cache:
    """Blocks for no more than opening and removing a file."""

    def __init__(self, directory: Path, size: int) -> None:
        """Empties the directory, which must be the cache's own."""
        self._directory = directory
        self.size = size
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._fetches: dict[Key, _Fetch] = {}
        self._names = itertools.count()
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, mode=0o700)

    @property
    def used(self) -> int:
        """Bytes kept."""
        return sum(kept.size for kept in self._kept.values())

    async def open(self, key: Key, fetch: Callable[[Path], Awaitable[None]]) -> BinaryIO:
        """The file, fetched unless it is here; the caller closes it.

        Several who want the same wait for one fetch; the last to be cancelled cancels it.
        """
        if kept := self._kept.get(key):
            self._kept.move_to_end(key)
            return _open(kept.path)
        under_way = self._fetches.get(key)
        if under_way is None:
            under_way = self._fetches[key] = _Fetch(asyncio.create_task(self._fetch(fetch)))
        return await self._wait(key, under_way)

    async def _wait(self, key: Key, fetch: _Fetch) -> BinaryIO:
        fetch.waiting += 1
        try:
            return _open(await asyncio.shield(fetch.task))
        finally:
            fetch.waiting -= 1
            if not fetch.waiting:
                self._settle(key, fetch)

    async def _fetch(self, fetch: Callable[[Path], Awaitable[None]]) -> Path:
        path = self._directory / str(next(self._names))
        try:
            await fetch(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _settle(self, key: Key, fetch: _Fetch) -> None:
        """Everybody who waited has it open, or nobody waits any more."""
        del self._fetches[key]
        if fetch.task.cancel() or fetch.task.cancelled() or fetch.task.exception():
            return
        path = fetch.task.result()
        self._keep(key, _Kept(path, path.stat().st_size))

    def _keep(self, key: Key, fetched: _Kept) -> None:
        """Make room; what is larger than the whole cache is not kept at all."""
        self._kept[key] = fetched
        while self._kept and self.used > self.size:
            victim = key if fetched.size > self.size else next(iter(self._kept))
            self._kept.pop(victim).path.unlink()


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
