"""Watching running containers: events where the endpoint has them, and lists in any case.

An event only says where to look; a list finds what no event told. A container stays watched
until an inspect has answered that it ended or is gone, so a failed look loses nothing: the next
list finds it again, and a bug that one container brings out costs the others nothing. An endpoint
that does not answer says nothing. Three asyncio tasks whatever the number of containers; nothing
at all per container but an entry in a dictionary.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from shim import limits
from shim.engine.api import Engine
from shim.engine.containers.diff import not_running
from shim.engine.containers.log_throttle import LogThrottle
from shim.errors import NotFound, ShimError
from shim.model.container import Container, Phase, Ref
from shim.model.facts import ContainerExited, ContainerVanished, Fact

log = logging.getLogger(__name__)


class ContainerWatcher:
    """Tells the end of each watched container once."""

    def __init__(
        self, engine: Engine, post: Callable[[Fact], None], clock: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._post = post
        self._clock = clock
        self._watched: dict[str, Ref] = {}
        self._starting: dict[str, bool] = {}
        """Start is on its way; whether an event came meanwhile."""
        self._dirty: dict[str, None] = {}
        self._look_now = asyncio.Event()
        self._list_now = asyncio.Event()
        self._listed_at = clock()
        self._asked_at = clock()
        self._complaint = LogThrottle(clock)
        self.trouble = ""
        """What came instead of the last list; empty when it came."""
        self._stirred_at = clock()
        self._answered = asyncio.Event()
        """Set, and replaced, at each list that was answered."""

    @property
    def age(self) -> float:
        """Seconds since the endpoint last answered a list (or since we began to ask)."""
        return self._clock() - self._listed_at

    async def rest(self, seconds: float) -> None:
        """Between two attempts at something: ``seconds``, and until the endpoint is there.

        So ten thousand launches and stops cost nothing while an endpoint is away: one list every
        few seconds asks for all of them.
        """
        failed = self._clock()
        await asyncio.sleep(seconds)
        if self._listed_at >= failed - limits.ENDPOINT_FRESH:
            return
        if self._clock() - self._asked_at >= limits.ENDPOINT_FRESH:
            self._list_now.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.RETRY_BLIND):
                await self._answered.wait()

    def __len__(self) -> int:
        return len(self._watched)

    def __contains__(self, ref: Ref) -> bool:
        return self._watched.get(ref.name) == ref

    def expect(self, ref: Ref) -> None:
        """It will be started now: events about it count from here on."""
        self._starting[ref.name] = False
        self._stir()

    def add(self, ref: Ref) -> None:
        """Watch it. An event that came since :meth:`expect` is looked into."""
        self._watched[ref.name] = ref
        if self._starting.pop(ref.name, False):
            self.look(ref.name)

    def take_over(self, ref: Ref) -> None:
        """Watch one that ran before we came: it may have ended, so a list is due."""
        self.add(ref)
        self._list_now.set()

    def forget(self, ref: Ref) -> None:
        """Its end will not be told."""
        self._starting.pop(ref.name, None)
        if self._watched.get(ref.name) == ref:
            del self._watched[ref.name]

    def look(self, name: str) -> None:
        """Something happened to it."""
        if name in self._starting:
            self._starting[name] = True
        if name in self._watched:
            self._dirty[name] = None
            self._look_now.set()

    def told(self, ref: Ref, container: Container) -> bool:
        """Take an inspect's word. True when that was the end, which is posted if it was not yet."""
        if container.container_id not in (None, ref.container_id):
            return self.vanished(ref)
        if container.phase in (Phase.RUNNING, Phase.PROVISIONING):
            return False
        code = container.exit_code
        return self._end(ref, ContainerExited(ref, code, container.oom_killed, container.error))

    def vanished(self, ref: Ref) -> bool:
        """The endpoint answered that it is not there."""
        return self._end(ref, ContainerVanished(ref))

    def _end(self, ref: Ref, fact: Fact) -> bool:
        if ref in self:
            self.forget(ref)
            self._stir()
            self._post(fact)
        return True

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._list_forever(), name="engine-list")
            group.create_task(self._look_forever(), name="engine-look")
            if self._engine.has_events:
                group.create_task(self._listen_forever(), name="engine-events")

    async def _listen_forever(self) -> None:
        while True:
            try:
                await self._listen()
            except ShimError as error:
                log.warning("the engine's event stream broke: %s", error)
            except Exception:
                log.exception("the engine's event stream is begun again")
            self._list_now.set()
            await asyncio.sleep(limits.EVENTS_RETRY)

    async def _listen(self) -> None:
        async with contextlib.aclosing(self._engine.events()) as names:
            async for name in names:
                if name:
                    self.look(name)
                else:
                    self._list_now.set()

    async def _list_forever(self) -> None:
        while True:
            self._list_now.clear()
            self._asked_at = began = self._clock()
            try:
                await self._list()
            except ShimError as error:
                self._complain(error)
            except Exception:
                log.exception("a list came to nothing, the next one tries again")
            took = self._clock() - began
            await asyncio.sleep(took / limits.RELIST_ASKED_SHARE)
            await self._until_due(max(self._interval(), took / self._share()))

    def _share(self) -> float:
        return limits.RELIST_SHARE if self._engine.has_events else limits.POLL_SHARE

    def _complain(self, error: ShimError) -> None:
        self.trouble = str(error)
        if self._complaint.due():
            log.warning("the engine gave no list for %.0f s: %s", self.age, error)

    def _interval(self) -> float:
        return limits.POLL_INTERVAL if self._polls_often() else limits.RELIST_INTERVAL

    def _polls_often(self) -> bool:
        """Without events lists are all there is, so there are more while tasks come and go."""
        if self._engine.has_events:
            return False
        return self._clock() - self._stirred_at < limits.POLL_BUSY

    def _stir(self) -> None:
        """A task came or went: others are likely to."""
        waits = not self._engine.has_events and not self._polls_often()
        self._stirred_at = self._clock()
        if waits:
            self._list_now.set()

    async def _list(self) -> None:
        listed = await self._engine.list()
        self._listed_at = self._clock()
        self.trouble = ""
        self._answered.set()
        self._answered = asyncio.Event()
        for name in not_running(self._watched, listed):
            self.look(name)

    async def _until_due(self, interval: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await self._list_now.wait()

    async def _look_forever(self) -> None:
        while True:
            await self._look_now.wait()
            self._look_now.clear()
            while self._dirty:
                names = list(self._dirty)[: limits.INSPECTS_AT_ONCE]
                for name in names:
                    del self._dirty[name]
                await asyncio.gather(*(self._look_at(name) for name in names))

    async def _look_at(self, name: str) -> None:
        ref = self._watched.get(name)
        if ref is None:
            return
        try:
            self.told(ref, await self._engine.inspect(name))
        except NotFound:
            self.vanished(ref)
        except ShimError as error:
            log.warning("%s could not be looked at, the next list tries again: %s", ref, error)
        except Exception:
            log.exception("%s could not be looked at, the next list tries again", ref)
