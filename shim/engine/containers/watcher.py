"""Watching running containers: events where the endpoint has them, and lists in any case.

An event only says which container to inspect; a list finds what no event reported. A container
stays watched until an inspect has answered that it ended or is gone. So a failed inspect loses
nothing: the next list finds the container again. An endpoint that does not answer says nothing
about containers. Three asyncio tasks serve any number of containers; each container costs one
entry in a dictionary.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from shim import limits
from shim.engine.api import Engine
from shim.engine.client.pacing import LogThrottle
from shim.errors import NotFound, ShimError
from shim.model.container import Container, Phase, Ref
from shim.model.facts import ContainerExited, ContainerVanished, Fact

log = logging.getLogger(__name__)


def not_running(watched: Iterable[str], listed: Iterable[Container]) -> list[str]:
    """Names of watched containers that a list does not show as running.

    None of them has ended for certain, since a list may be older than a start. Each is to be
    inspected, and stays watched until that is answered.
    """
    running = {container.name for container in listed if container.phase is Phase.RUNNING}
    return [name for name in watched if name not in running]


class ContainerWatcher:
    """Posts the end of each watched container once."""

    def __init__(
        self, engine: Engine, post: Callable[[Fact], None], clock: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._post = post
        self._clock = clock
        self._watched: dict[str, Ref] = {}
        self._starting: dict[str, bool] = {}
        """Containers whose start is under way; whether an event about them came meanwhile."""
        self._dirty: dict[str, None] = {}
        """Containers to be inspected, in order."""
        self._inspect_now = asyncio.Event()
        self._list_now = asyncio.Event()
        self._listed_at = clock()
        self._list_began = clock()
        self._log_throttle = LogThrottle(clock)
        self.last_error = ""
        """Why the last list failed; empty when it did not."""
        self._last_change = clock()
        """When a container last started or ended."""
        self._answered = asyncio.Event()
        """Set, and replaced, at each list that was answered."""

    @property
    def age(self) -> float:
        """Seconds since the endpoint last answered a list, or since the watcher was made."""
        return self._clock() - self._listed_at

    async def wait_reachable(self, seconds: float) -> None:
        """Pause between two attempts: ``seconds``, and until the endpoint answers a list.

        So ten thousand launches and stops cost nothing while an endpoint is away: one list every
        few seconds asks for all of them. RETRY_WITHOUT_LIST bounds the pause.
        """
        failed = self._clock()
        await asyncio.sleep(seconds)
        if self._listed_at >= failed - limits.ENDPOINT_FRESH:
            return
        if self._clock() - self._list_began >= limits.ENDPOINT_FRESH:
            self._list_now.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.RETRY_WITHOUT_LIST):
                await self._answered.wait()

    def __len__(self) -> int:
        return len(self._watched)

    def __contains__(self, ref: Ref) -> bool:
        return self._watched.get(ref.name) == ref

    def starting(self, ref: Ref) -> None:
        """A start is about to be sent: an event about the container counts from here on."""
        self._starting[ref.name] = False
        self._note_change()

    def add(self, ref: Ref) -> None:
        """Watch a container. It is inspected if an event came since :meth:`starting`."""
        self._watched[ref.name] = ref
        if self._starting.pop(ref.name, False):
            self.mark_dirty(ref.name)

    def adopt(self, ref: Ref) -> None:
        """Watch a container of an earlier process: it may have ended, so a list is due."""
        self.add(ref)
        self._list_now.set()

    def forget(self, ref: Ref) -> None:
        """Watch it no longer: its end is not posted."""
        self._starting.pop(ref.name, None)
        if self._watched.get(ref.name) == ref:
            del self._watched[ref.name]

    def mark_dirty(self, name: str) -> None:
        """Something happened to the container: inspect it, if it is watched."""
        if name in self._starting:
            self._starting[name] = True
        if name in self._watched:
            self._dirty[name] = None
            self._inspect_now.set()

    def observe(self, ref: Ref, container: Container) -> bool:
        """Take the answer of an inspect. True when the container has ended.

        The end is posted if it was not posted before.
        """
        if container.container_id not in (None, ref.container_id):
            return self.vanished(ref)
        if container.phase in (Phase.RUNNING, Phase.PROVISIONING):
            return False
        code = container.exit_code
        return self._end(ref, ContainerExited(ref, code, container.oom_killed, container.error))

    def vanished(self, ref: Ref) -> bool:
        """The endpoint answered that the container does not exist."""
        return self._end(ref, ContainerVanished(ref))

    def _end(self, ref: Ref, fact: Fact) -> bool:
        if ref in self:
            self.forget(ref)
            self._note_change()
            self._post(fact)
        return True

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._list_forever(), name="engine-list")
            group.create_task(self._inspect_forever(), name="engine-inspect")
            if self._engine.has_events:
                group.create_task(self._listen_forever(), name="engine-events")

    # --- events -----------------------------------------------------------------------------

    async def _listen_forever(self) -> None:
        while True:
            try:
                await self._listen()
            except ShimError as error:
                log.warning("the engine's event stream broke: %s", error)
            except Exception:
                log.exception("the engine's event stream is opened again")
            self._list_now.set()
            await asyncio.sleep(limits.EVENTS_RETRY)

    async def _listen(self) -> None:
        async with contextlib.aclosing(self._engine.events()) as names:
            async for name in names:
                if name:
                    self.mark_dirty(name)
                else:
                    self._list_now.set()

    # --- lists ------------------------------------------------------------------------------

    async def _list_forever(self) -> None:
        while True:
            self._list_now.clear()
            self._list_began = began = self._clock()
            try:
                await self._list()
            except ShimError as error:
                self.last_error = str(error)
                if self._log_throttle.should_log():
                    log.warning("the engine answered no list for %.0f s: %s", self.age, error)
            except Exception:
                log.exception("a list failed, the next one follows")
            took = self._clock() - began
            await asyncio.sleep(took / limits.RELIST_ASKED_SHARE)
            await self._until_due(max(self._interval(), took / self._share()))

    async def _list(self) -> None:
        listed = await self._engine.list()
        self._listed_at = self._clock()
        self.last_error = ""
        self._answered.set()
        self._answered = asyncio.Event()
        for name in not_running(self._watched, listed):
            self.mark_dirty(name)

    async def _until_due(self, interval: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await self._list_now.wait()

    def _share(self) -> float:
        """The part of the time that lists may take."""
        return limits.RELIST_SHARE if self._engine.has_events else limits.POLL_SHARE

    def _interval(self) -> float:
        return limits.POLL_INTERVAL if self._polls_often() else limits.RELIST_INTERVAL

    def _polls_often(self) -> bool:
        """Without events only lists show ends: they come often while tasks start and end."""
        if self._engine.has_events:
            return False
        return self._clock() - self._last_change < limits.POLL_BUSY

    def _note_change(self) -> None:
        """A container started or ended: others are likely to follow."""
        list_now = not self._engine.has_events and not self._polls_often()
        self._last_change = self._clock()
        if list_now:
            self._list_now.set()

    # --- inspects ---------------------------------------------------------------------------

    async def _inspect_forever(self) -> None:
        while True:
            await self._inspect_now.wait()
            self._inspect_now.clear()
            while self._dirty:
                names = list(self._dirty)[: limits.INSPECTS_AT_ONCE]
                for name in names:
                    del self._dirty[name]
                await asyncio.gather(*(self._inspect(name) for name in names))

    async def _inspect(self, name: str) -> None:
        ref = self._watched.get(name)
        if ref is None:
            return
        try:
            self.observe(ref, await self._engine.inspect(name))
        except NotFound:
            self.vanished(ref)
        except ShimError as error:
            log.warning("%s could not be inspected, the next list tries again: %s", ref, error)
        except Exception:
            log.exception("%s could not be inspected, the next list tries again", ref)
