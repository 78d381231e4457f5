"""Stores the output of all tasks on disk, read by name, bounded in size and age."""

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
from shim.errors import NotFound, ShimError
from shim.model.container import OUTPUTS, Entry, Ref
from shim.model.ids import ContainerId, ExecutorKey, TaskKey

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _EndedSandbox:
    """A sandbox on disk of which the final logs are collected."""

    ref: Ref
    ended_s: float
    held: int
    """Bytes on disk."""


class SandboxStore:
    """Directories ``work_dir/sandboxes/CONTAINER``, one for each container with output.

    A container is in ``_followers`` from its first reader until its final logs are collected. From
    then on it is in ``_ended`` until its directory is swept, or in ``_silent`` when it wrote
    nothing. A container that is removed without a collection is found by ``sweep``.
    """

    def __init__(self, engine: Engine, directory: Path) -> None:
        """Needs a running loop. Call ``load`` first."""
        self._engine = engine
        self._directory = directory
        self._followers: dict[ContainerId, LogFollower] = {}
        self._ended: dict[ContainerId, _EndedSandbox] = {}
        """Oldest first."""
        self._silent: dict[ContainerId, float] = {}
        """When the final logs of a container without output were collected. Oldest first."""
        self._latest: dict[TaskKey | ExecutorKey, ContainerId] = {}
        triton = engine.kind == "triton"
        self._collect_slots = asyncio.Semaphore(
            limits.TRITON_LOG_FETCHES_AT_ONCE if triton else limits.LOG_FETCHES_AT_ONCE
        )

    @property
    def followed(self) -> int:
        """Containers whose log is followed now."""
        return sum(follower.running for follower in self._followers.values())

    @property
    def held(self) -> int:
        """Bytes on disk."""
        ended = sum(sandbox.held for sandbox in self._ended.values())
        return ended + sum(follower.buffer.held for follower in self._followers.values())

    def __len__(self) -> int:
        """Sandboxes of ended containers."""
        return len(self._ended)

    async def load(self) -> None:
        """Read the sandboxes that an earlier run of the agent left."""
        found = await asyncio.to_thread(_scan, self._directory)
        for buffer in sorted(found, key=lambda buffer: buffer.ended_s):
            if buffer.ended_s:
                self._add_ended(buffer)
            else:
                # The container still exists, or its final logs were never collected.
                self._followers[buffer.ref.container_id] = self._new_follower(buffer)

    # --- reading ----------------------------------------------------------------------------

    def latest(self, key: TaskKey | ExecutorKey) -> Ref | None:
        """Return the last ended container of a task or executor with a sandbox on disk."""
        container_id = self._latest.get(key)
        return None if container_id is None else Ref(key, container_id)

    def knows(self, ref: Ref) -> bool:
        """Whether the container has ended and its sandbox is on disk."""
        sandbox = self._ended.get(ref.container_id)
        return sandbox is not None and sandbox.ref == ref

    async def entries(self, ref: Ref, live: bool) -> list[Entry]:
        """Return stderr and stdout with their present sizes.

        ``live``, here and below: the engine may have the container, so its log is read first.
        """
        buffer = await self._buffer(ref, live)
        return [Entry(name, buffer.size(name), buffer.mtime) for name in OUTPUTS]

    async def read(self, ref: Ref, name: str, offset: int, length: int, live: bool) -> bytes:
        """Return at most ``length`` bytes of an output from ``offset`` on."""
        buffer = await self._buffer(ref, live)
        try:
            return await asyncio.to_thread(buffer.read, name, offset, length)
        except OSError as error:
            log.warning("%s: %s of %s cannot be read: %s", self._directory, name, ref, error)
            return b""

    async def extents(self, ref: Ref, name: str, live: bool) -> list[tuple[int, int]]:
        """Return ``(offset, length)`` of the parts of an output that are on disk, in order."""
        return (await self._buffer(ref, live)).extents(name)

    async def _buffer(self, ref: Ref, live: bool) -> OutputBuffer:
        follower = await self._follower(ref) if live else None
        if follower is not None:
            await follower.refresh(limits.LOG_READ_TIMEOUT)
            return follower.buffer
        if idle := self._followers.get(ref.container_id):
            await idle.flush()
            return idle.buffer
        return await self._open(ref)

    async def _open(self, ref: Ref) -> OutputBuffer:
        buffer = OutputBuffer(ref)
        await asyncio.to_thread(buffer.open, self._path(ref.container_id))
        return buffer

    async def _follower(self, ref: Ref) -> LogFollower | None:
        """Return the container's follower, or None when its final logs are collected.

        At the limit of followed logs, the one that was read least recently is stopped.
        """
        follower = self._followers.get(ref.container_id)
        if follower is None:
            if self._is_collected(ref):
                return None
            buffer = await self._open(ref)
            # A collection may have ended while the directory was opened.
            if self._is_collected(ref):
                return None
            follower = self._followers.setdefault(ref.container_id, self._new_follower(buffer))
        if not follower.running and self.followed >= limits.LOGS_FOLLOWED:
            running = [other for other in self._followers.values() if other.running]
            await min(running, key=lambda other: other.last_read_s).stop()
        return follower

    def _is_collected(self, ref: Ref) -> bool:
        return self.knows(ref) or ref.container_id in self._silent

    def _new_follower(self, buffer: OutputBuffer) -> LogFollower:
        directory = self._path(buffer.ref.container_id)
        return LogFollower(self._engine, buffer, directory, lambda: self.followed)

    # --- the end of a container -------------------------------------------------------------

    async def collect_final_logs(self, ref: Ref) -> None:
        """Take the rest of a container's output before the container is removed.

        Ends in bounded time, whatever goes wrong: a stopped container costs money. Raises nothing.
        """
        if self._is_collected(ref):
            return
        try:
            async with asyncio.timeout(limits.LOG_SLOT_TIMEOUT):
                await self._collect_slots.acquire()
        except TimeoutError:
            log.warning("%s: too many containers end at once, its last output is lost", ref)
            return
        try:
            await self._collect(ref)
        except Exception:
            log.exception("%s: its last output is lost", ref)
        finally:
            self._collect_slots.release()

    async def _collect(self, ref: Ref) -> None:
        follower = await self._follower(ref)
        if follower is None:
            return
        await follower.collect_rest(limits.LOG_FETCH_TIMEOUT)
        self._followers.pop(ref.container_id, None)
        if follower.buffer.held:
            self._add_ended(follower.buffer)
        else:
            self._silent[ref.container_id] = follower.buffer.ended_s

    def _add_ended(self, buffer: OutputBuffer) -> None:
        ref = buffer.ref
        self._ended[ref.container_id] = _EndedSandbox(ref, buffer.ended_s, buffer.held)
        latest = self._ended.get(self._latest.get(ref.key, ref.container_id))
        if latest is None or latest.ended_s <= buffer.ended_s:
            self._latest[ref.key] = ref.container_id

    # --- bounds -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Sweep every SANDBOX_SWEEP seconds until cancelled."""
        while True:
            await self.sweep(time.time())
            await asyncio.sleep(limits.SANDBOX_SWEEP)

    async def sweep(self, now: float) -> None:
        """Delete sandboxes that are too old or too many. ``now`` is in seconds since the epoch.

        Ended sandboxes are deleted first, from the oldest on. Then sandboxes without a running
        follower are.
        """
        self._drop_empty_followers()
        self._drop_old_silent(now)
        await self._find_removed(now)
        held = self.held
        for container_id, sandbox in list(self._ended.items()):
            full = held > limits.SANDBOX_TOTAL_BYTES or len(self._ended) > limits.SANDBOXES_KEPT
            if not full and now - sandbox.ended_s < limits.SANDBOX_AGE:
                break
            held -= sandbox.held
            self._remove_ended(container_id)
            await self._delete(container_id)
        by_last_read = sorted(self._followers.items(), key=lambda item: item[1].last_read_s)
        for container_id, follower in by_last_read:
            if held > limits.SANDBOX_TOTAL_BYTES and not (follower.running or follower.collecting):
                held -= follower.buffer.held
                del self._followers[container_id]
                await self._delete(container_id)

    def _drop_empty_followers(self) -> None:
        """Forget followers without a recent reader that have nothing on disk."""
        for container_id, follower in list(self._followers.items()):
            recently_read = time.monotonic() - follower.last_read_s < limits.LOG_READ_TIMEOUT
            in_use = follower.running or follower.collecting or recently_read
            if not in_use and not follower.buffer.held:
                del self._followers[container_id]

    def _drop_old_silent(self, now: float) -> None:
        for container_id, ended_s in list(self._silent.items()):
            full = len(self._silent) > limits.SANDBOXES_KEPT
            if not full and now - ended_s < limits.SANDBOX_AGE:
                break
            del self._silent[container_id]

    async def _find_removed(self, now: float) -> None:
        """End the sandboxes of containers that were removed without a collection.

        Examples: others removed the container while the agent was down, or too many containers
        ended at once. One sweep asks the engine for SANDBOXES_CHECKED containers at most.
        """
        idle = [
            follower
            for follower in self._followers.values()
            if follower.buffer.held and not (follower.running or follower.collecting)
            if now - max(follower.buffer.mtime, follower.checked_s) > limits.LOG_WATCHED
        ]
        idle.sort(key=lambda follower: follower.checked_s)
        for follower in idle[: limits.SANDBOXES_CHECKED]:
            try:
                await self._engine.inspect(follower.buffer.ref.name)
            except NotFound:
                await self._end_removed(follower)
            except ShimError as error:
                log.debug("containers of old sandboxes are not checked for now: %s", error)
                break
            follower.checked_s = now
        self._ended = dict(sorted(self._ended.items(), key=lambda item: item[1].ended_s))

    async def _end_removed(self, follower: LogFollower) -> None:
        buffer = follower.buffer
        if follower.running or follower.collecting:
            return
        follower.collecting = True
        buffer.ended_s = buffer.mtime or time.time()
        await follower.flush()
        self._followers.pop(buffer.ref.container_id, None)
        self._add_ended(buffer)

    def _remove_ended(self, container_id: ContainerId) -> None:
        sandbox = self._ended.pop(container_id)
        if self._latest.get(sandbox.ref.key) == container_id:
            del self._latest[sandbox.ref.key]

    async def _delete(self, container_id: ContainerId) -> None:
        await asyncio.to_thread(shutil.rmtree, self._path(container_id), ignore_errors=True)

    async def close(self) -> None:
        """Write what was taken. The next run of the agent reads the rest of the logs."""
        await asyncio.gather(*(follower.stop() for follower in self._followers.values()))

    def _path(self, container_id: ContainerId) -> Path:
        return self._directory / container_id


def _scan(directory: Path) -> list[OutputBuffer]:
    """Open all sandboxes. Delete directories that name no task. Blocks on the disk."""
    found = []
    with contextlib.suppress(OSError):
        # Other users of this machine must not read the output of tasks.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in directory.iterdir() if directory.is_dir() else ():
        about = read_about(path)
        try:
            buffer = OutputBuffer(ref_of(path, about or {}))
            buffer.open(path)
        except (KeyError, ValueError, TypeError):
            shutil.rmtree(path, ignore_errors=True)
        else:
            found.append(buffer)
    return found
