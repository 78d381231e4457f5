"""Brings a container's output from its engine to its buffer.

A container without a reader costs nothing: no connection, no asyncio task. The first reader starts
its follower, which catches up with the log and then follows it while clients read. The rest of the
output is collected before the container is removed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from shim import limits
from shim.engine.api import Engine
from shim.engine.client.retry import FINAL_LOGS, retry
from shim.engine.sandbox.buffer import OutputBuffer
from shim.errors import NotFound, Permanent, ShimError, Transient
from shim.model.container import STDERR, STDOUT

log = logging.getLogger(__name__)


class LogFollower:
    """Follows the log of one container. Ends with ``stop`` or ``collect_rest``."""

    def __init__(
        self, engine: Engine, buffer: OutputBuffer, directory: Path, followed: Callable[[], int]
    ) -> None:
        """``followed`` returns how many containers are followed now: they share the loop."""
        self.buffer = buffer
        self._engine = engine
        self._directory = directory
        self._followed = followed
        self._task: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._caught_up = asyncio.Event()
        self.last_read_s = time.monotonic()
        """When a client last read, on the monotonic clock."""
        self.checked_s = 0.0
        """When the store last asked whether the container exists, on the clock of its sweeps."""
        self.collecting = False
        """The rest of the log is or was collected: the follower does not run again."""
        self._disk_failing = False

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def refresh(self, timeout: float) -> None:
        """Bring the buffer up to the end of the log, in at most ``timeout`` seconds."""
        self.last_read_s = time.monotonic()
        if not self.running and not self.collecting:
            self._caught_up.clear()
            self._task = asyncio.create_task(self._run(), name=f"output of {self.buffer.ref.name}")
        try:
            async with asyncio.timeout(timeout):
                await self._caught_up.wait()
        except TimeoutError:
            log.debug("the output of %s is late", self.buffer.ref)
        await self.flush()

    async def stop(self) -> None:
        """Stop following, and write what was taken."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        await self.flush()

    async def collect_rest(self, timeout: float) -> None:
        """Take the rest of the log, in at most ``timeout`` seconds. The follower ends.

        An error becomes a line in stderr of the task, unless the container is removed meanwhile.
        Raises nothing.
        """
        self.collecting = True
        await self.stop()
        self._caught_up.clear()
        last_error = ""

        async def catch_up() -> None:
            nonlocal last_error
            try:
                await self._catch_up()
            except Transient as error:
                last_error = f": {error}"
                raise

        try:
            async with asyncio.timeout(timeout):
                await retry(FINAL_LOGS, catch_up)
        except TimeoutError:
            await self._warn_unless_removed(
                f"the last output was not taken within {timeout:g} s{last_error}"
            )
        except NotFound:
            log.debug("%s: no more output, the container is gone", self.buffer.ref)
        except ShimError as error:
            await self._warn_unless_removed(f"the last output is lost: {error}")
        self.buffer.ended_s = time.time()
        await self.flush()
        self._caught_up.set()

    async def _warn_unless_removed(self, text: str) -> None:
        """Report an error in the log and in stderr of the task.

        The log of a container that is being removed cannot be read. Engines word that error
        differently, so the state of the container decides whether it is reported.
        """
        try:
            found = await self._engine.inspect(self.buffer.ref.name)
            removed = _is_being_removed(found.inspect)
        except NotFound:
            removed = True
        except ShimError:
            removed = False
        if removed:
            log.debug("%s: the container is being removed: %s", self.buffer.ref, text)
            return
        log.warning("%s: %s", self.buffer.ref, text)
        self.buffer.add_notice(STDERR, text)

    # --- reading the log --------------------------------------------------------------------

    async def _run(self) -> None:
        while self._seconds_to_follow > 0:
            try:
                await self._catch_up()
                self._caught_up.set()
                await self._follow()
            except NotFound:
                break
            except Permanent as error:
                await self._warn_unless_removed(f"the output cannot be read: {error}")
                break
            except Transient as error:
                log.info("the output of %s is not followed for now: %s", self.buffer.ref, error)
            # After a failure readers get what was taken before.
            self._caught_up.set()
            if self._seconds_to_follow > 0:
                await asyncio.sleep(limits.LOG_RETRY)
        self._caught_up.set()

    @property
    def _seconds_to_follow(self) -> float:
        """Seconds until the last read is LOG_WATCHED seconds ago."""
        return self.last_read_s + limits.LOG_WATCHED - time.monotonic()

    async def _catch_up(self) -> None:
        """Take all of a log of ordinary size, or the beginning and the end of a larger one."""
        if await self._take(follow=False, max_bytes=limits.LOG_FETCH_BYTES):
            return
        notice = f"more output than is kept: its last {limits.LOG_TAIL_LINES} lines"
        self.buffer.add_notice(STDOUT, notice)
        await self._take(follow=False, tail=limits.LOG_TAIL_LINES)

    async def _follow(self) -> None:
        """Take new lines until the log ends or no client has read for LOG_WATCHED seconds."""
        following = asyncio.create_task(self._take(follow=True))
        try:
            while not following.done() and self._seconds_to_follow > 0:
                await asyncio.wait({following}, timeout=self._seconds_to_follow)
        finally:
            following.cancel()
            await asyncio.wait({following})
        if not following.cancelled():
            following.result()

    async def _take(
        self, *, follow: bool, max_bytes: int | None = None, tail: int | None = None
    ) -> bool:
        """Read the log once. Return False when there were more than ``max_bytes``."""
        buffer, taken = self.buffer, 0
        since_s = buffer.begin_pass()
        lines = self._engine.logs(buffer.ref.name, since=since_s, follow=follow, tail=tail)
        async with aclosing(lines):
            async for stream, timestamp_s, line in lines:
                buffer.take(stream, timestamp_s, line)
                taken += len(line)
                if max_bytes is not None and taken > max_bytes:
                    return False
                if buffer.unwritten >= limits.LOG_SLICE_BYTES:
                    await self.flush()
                    await asyncio.sleep(limits.LOG_SLICE_PAUSE * self._followed() if follow else 0)
        return True

    async def flush(self) -> None:
        """Write what was taken to disk, where it can be read. A disk error is only logged."""
        async with self._writing:
            buffer = self.buffer
            if not buffer.unwritten and not (buffer.ended_s and buffer.held):
                return
            batch = buffer.take_batch()
            try:
                await _run_to_completion(buffer.write, self._directory, batch, time.time())
                self._disk_failing = False
            except OSError as error:
                if not self._disk_failing:
                    log.error("%s: output is lost: %s", self._directory, error.strerror)
                self._disk_failing = True


def _is_being_removed(inspect: bytes) -> bool:
    """Whether an engine's inspect answer, a JSON list of one container, says so."""
    (described,) = json.loads(inspect) if inspect else ({},)
    state = described.get("State") or {}
    return bool(state.get("Dead")) or state.get("Status") in ("removing", "dead")


async def _run_to_completion(work: Callable[..., None], *arguments: object) -> None:
    """Run ``work`` in a thread. A cancelled caller waits for its end: two must not overlap."""
    job = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait({job})
        raise
