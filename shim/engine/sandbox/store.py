"""The sandboxes of all tasks: their output on disk, read by name, bounded in size and age."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from shim import limits
from shim.engine.api import Engine
from shim.engine.sandbox.buffer import OutputBuffer, read_about, ref_of
from shim.engine.sandbox.follower import LogFollower
from shim.model.container import Ref
from shim.model.ids import ContainerId, TaskKey
from shim.model.sandbox import OUTPUTS, Entry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A sandbox on disk whose task has ended."""

    ref: Ref
    ended: float
    held: int


class SandboxStore:
    """``work_dir/sandboxes/CONTAINER`` for each container that wrote something."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        """Needs a running loop. Call ``load`` first."""
        self._engine = engine
        self._directory = directory
        self._feeds: dict[ContainerId, LogFollower] = {}
        self._kept: dict[ContainerId, _Kept] = {}
        """Oldest first."""
        self._latest: dict[TaskKey, ContainerId] = {}
        triton = engine.kind == "triton"
        self._fetches = asyncio.Semaphore(
            limits.TRITON_LOG_FETCHES_AT_ONCE if triton else limits.LOG_FETCHES_AT_ONCE
        )

    @property
    def followed(self) -> int:
        """Outputs that are followed now."""
        return sum(feed.running for feed in self._feeds.values())

    @property
    def held(self) -> int:
        """Bytes on disk."""
        kept = sum(kept.held for kept in self._kept.values())
        return kept + sum(feed.spool.held for feed in self._feeds.values())

    def __len__(self) -> int:
        return len(self._kept)

    async def load(self) -> None:
        """Know what an earlier life left."""
        found = await asyncio.to_thread(_scan, self._directory)
        for spool in sorted(found, key=lambda spool: spool.ended):
            if spool.ended:
                self._keep(spool)
            else:
                # Its task runs, or its container is about to be removed: it is asked for again.
                self._feeds[spool.ref.container_id] = self._feed_of(spool)

    # --- reading ----------------------------------------------------------------------------

    def latest(self, key: TaskKey) -> Ref | None:
        """The last container of a task of which something is kept."""
        container_id = self._latest.get(key)
        return None if container_id is None else Ref(key, container_id)

    def knows(self, ref: Ref) -> bool:
        kept = self._kept.get(ref.container_id)
        return kept is not None and kept.ref == ref

    async def entries(self, ref: Ref, live: bool) -> list[Entry]:
        """stderr and stdout as they are now. ``live``: the engine has the container."""
        spool = await self._spool(ref, live)
        return [Entry(name, spool.size(name), spool.mtime) for name in OUTPUTS]

    async def read(self, ref: Ref, name: str, offset: int, length: int, live: bool) -> bytes:
        """The output's bytes from ``offset`` on."""
        spool = await self._spool(ref, live)
        try:
            return await asyncio.to_thread(spool.read, name, offset, length)
        except OSError as error:
            log.warning("%s: %s of %s cannot be read: %s", self._directory, name, ref, error)
            return b""

    async def extents(self, ref: Ref, name: str, live: bool) -> list[tuple[int, int]]:
        """``(offset, length)`` of the parts of an output that are kept, in order."""
        return (await self._spool(ref, live)).extents(name)

    async def _spool(self, ref: Ref, live: bool) -> OutputBuffer:
        if live and not self.knows(ref):
            feed = await self._feed(ref)
            await feed.fresh(limits.LOG_READ_PATIENCE)
            return feed.spool
        if idle := self._feeds.get(ref.container_id):
            await idle.flush()
            return idle.spool
        return await self._open(ref)

    async def _open(self, ref: Ref) -> OutputBuffer:
        spool = OutputBuffer(ref)
        await asyncio.to_thread(spool.open, self._path(ref.container_id))
        return spool

    async def _feed(self, ref: Ref) -> LogFollower:
        feed = self._feeds.get(ref.container_id)
        if feed is None:
            made = self._feed_of(await self._open(ref))
            feed = self._feeds.setdefault(ref.container_id, made)
        if not feed.running and self.followed >= limits.LOGS_FOLLOWED:
            running = [feed for feed in self._feeds.values() if feed.running]
            await min(running, key=lambda feed: feed.read_at).stop()
        return feed

    def _feed_of(self, spool: OutputBuffer) -> LogFollower:
        directory = self._path(spool.ref.container_id)
        return LogFollower(self._engine, spool, directory, lambda: self.followed)

    # --- the end ----------------------------------------------------------------------------

    async def collect_final_logs(self, ref: Ref) -> None:
        """Take what is left of the container's output: it is about to be removed.

        Whatever goes wrong, this ends in bounded time: a stopped container costs money.
        """
        if self.knows(ref):
            return
        try:
            async with asyncio.timeout(limits.LOG_TURN_PATIENCE):
                await self._fetches.acquire()
        except TimeoutError:
            log.warning("%s: too many end at once, its last output is lost", ref)
            return
        try:
            await self._finish(ref)
        except Exception:
            log.exception("%s: its last output is lost", ref)
        finally:
            self._fetches.release()

    async def _finish(self, ref: Ref) -> None:
        feed = await self._feed(ref)
        await feed.finish(limits.LOG_FETCH_PATIENCE)
        self._feeds.pop(ref.container_id, None)
        if feed.spool.held:
            self._keep(feed.spool)

    def _keep(self, spool: OutputBuffer) -> None:
        ref = spool.ref
        self._kept[ref.container_id] = _Kept(ref, spool.ended, spool.held)
        self._latest[ref.key] = ref.container_id

    # --- bounds -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep within the bounds until cancelled."""
        while True:
            await self.sweep(time.time())
            await asyncio.sleep(limits.SANDBOX_SWEEP)

    async def sweep(self, now: float) -> None:
        """Drop what is too old, or too much: completed ones first, then what nobody watches."""
        self._rest()
        held = self.held
        for container_id, kept in list(self._kept.items()):
            full = held > limits.SANDBOX_TOTAL_BYTES or len(self._kept) > limits.SANDBOXES_KEPT
            if not full and now - kept.ended < limits.SANDBOX_AGE:
                break
            held -= kept.held
            self._forget(container_id)
            await self._erase(container_id)
        for container_id, feed in sorted(self._feeds.items(), key=lambda item: item[1].read_at):
            if held > limits.SANDBOX_TOTAL_BYTES and not feed.running:
                held -= feed.spool.held
                del self._feeds[container_id]
                await self._erase(container_id)

    def _rest(self) -> None:
        """What nobody wants now needs no memory, unless it is on disk and to be counted."""
        for container_id, feed in list(self._feeds.items()):
            if not feed.running and not feed.spool.held:
                del self._feeds[container_id]

    def _forget(self, container_id: ContainerId) -> None:
        kept = self._kept.pop(container_id)
        if self._latest.get(kept.ref.key) == container_id:
            del self._latest[kept.ref.key]

    async def _erase(self, container_id: ContainerId) -> None:
        await asyncio.to_thread(shutil.rmtree, self._path(container_id), ignore_errors=True)

    async def close(self) -> None:
        """What was taken is on disk; the rest is taken after the next start."""
        await asyncio.gather(*(feed.stop() for feed in self._feeds.values()))

    def _path(self, container_id: ContainerId) -> Path:
        return self._directory / container_id


def _scan(directory: Path) -> list[OutputBuffer]:
    """All that is there; what says nothing of whose it is goes. Uses the disk."""
    found = []
    with contextlib.suppress(OSError):
        # What tasks print is not for every user of this machine.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in directory.iterdir() if directory.is_dir() else ():
        about = read_about(path)
        try:
            spool = OutputBuffer(ref_of(path, about or {}))
            spool.open(path)
        except (KeyError, ValueError, TypeError):
            shutil.rmtree(path, ignore_errors=True)
        else:
            found.append(spool)
    return found
