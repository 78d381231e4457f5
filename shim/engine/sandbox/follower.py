"""Bringing a container's output from its engine to its spool.

Nothing is done about a container whose output nobody reads: no connection, no asyncio task. The
first reader starts a feed: it catches up with the log, then follows it as long as somebody reads.
What was not read by then is taken when the container is about to be removed.
"""

from __future__ import annotations

import asyncio
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
from shim.model.sandbox import STDERR, STDOUT

log = logging.getLogger(__name__)


class LogFollower:
    """The feed of one container. Closed with ``stop``."""

    def __init__(
        self, engine: Engine, spool: OutputBuffer, directory: Path, followed: Callable[[], int]
    ) -> None:
        self.spool = spool
        self._engine = engine
        self._directory = directory
        self._followed = followed
        self._task: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._caught_up = asyncio.Event()
        self.read_at = time.monotonic()
        self._failing = False
        self._ending = False

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def fresh(self, patience: float) -> None:
        """The spool holds what the log held when this was called, if the engine is quick."""
        self.read_at = time.monotonic()
        if not self.running and not self._ending:
            self._caught_up.clear()
            self._task = asyncio.create_task(self._run(), name=f"output of {self.spool.ref.name}")
        try:
            async with asyncio.timeout(patience):
                await self._caught_up.wait()
        except TimeoutError:
            log.debug("the output of %s is late", self.spool.ref)
        await self.flush()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        await self.flush()

    async def finish(self, patience: float) -> None:
        """Take what is left, in ``patience`` seconds; nothing comes after it. Never raises, except
        when cancelled."""
        self._ending = True
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
            async with asyncio.timeout(patience):
                await retry(FINAL_LOGS, catch_up)
        except TimeoutError:
            self._lost(f"the last output was not taken within {patience:g} s{last_error}")
        except NotFound:
            """Removed by others, or never created: there is no more."""
        except ShimError as error:
            self._lost(f"the last output is lost: {error}")
        self.spool.ended = time.time()
        await self.flush()
        self._caught_up.set()

    def _lost(self, text: str) -> None:
        log.warning("%s: %s", self.spool.ref, text)
        self.spool.say(STDERR, text)

    # --- taking -----------------------------------------------------------------------------

    async def _run(self) -> None:
        while self._watched > 0:
            try:
                await self._catch_up()
                self._caught_up.set()
                await self._follow()
            except NotFound:
                break
            except Permanent as error:
                self._lost(f"the output cannot be read: {error}")
                break
            except Transient as error:
                log.info("the output of %s is not followed for now: %s", self.spool.ref, error)
            # After a failure readers get what there is.
            self._caught_up.set()
            if self._watched > 0:
                await asyncio.sleep(limits.LOG_RETRY)
        self._caught_up.set()

    @property
    def _watched(self) -> float:
        """Seconds that it is still worth while to follow."""
        return self.read_at + limits.LOG_WATCHED - time.monotonic()

    async def _catch_up(self) -> None:
        """All of a log of ordinary size; of a larger one the beginning and the end."""
        if await self._take(follow=False, budget=limits.LOG_FETCH_BYTES):
            return
        self.spool.say(STDOUT, f"more output than is kept: its last {limits.LOG_TAIL_LINES} lines")
        await self._take(follow=False, tail=limits.LOG_TAIL_LINES)

    async def _follow(self) -> None:
        """Until the log ends, or nobody has read for a while."""
        following = asyncio.create_task(self._take(follow=True))
        try:
            while not following.done() and self._watched > 0:
                await asyncio.wait({following}, timeout=self._watched)
        finally:
            following.cancel()
            await asyncio.wait({following})
        if not following.cancelled():
            following.result()

    async def _take(
        self, *, follow: bool, budget: int | None = None, tail: int | None = None
    ) -> bool:
        """False: it was more than ``budget`` bytes."""
        spool, taken = self.spool, 0
        lines = self._engine.logs(spool.ref.name, since=spool.resume(), follow=follow, tail=tail)
        async with aclosing(lines):
            async for stream, stamp, line in lines:
                spool.take(stream, stamp, line)
                taken += len(line)
                if budget is not None and taken > budget:
                    return False
                if spool.waiting >= limits.LOG_SLICE_BYTES:
                    await self.flush()
                    await asyncio.sleep(limits.LOG_SLICE_PAUSE * self._followed() if follow else 0)
        return True

    async def flush(self) -> None:
        """What was taken is on disk, and can be read."""
        async with self._writing:
            spool = self.spool
            if not spool.waiting and not (spool.ended and spool.held):
                return
            batch = spool.swap()
            try:
                await _to_the_end(spool.write, self._directory, batch, time.time())
                self._failing = False
            except OSError as error:
                if not self._failing:
                    log.error("%s: output is lost: %s", self._directory, error.strerror)
                self._failing = True


async def _to_the_end(work: Callable[..., None], *arguments: object) -> None:
    """Run it in a thread. When cancelled it is waited for nevertheless: nobody else may begin."""
    job = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait({job})
        raise
