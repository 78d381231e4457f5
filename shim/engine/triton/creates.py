"""Creates, which take as long as their provisioning: seconds to many minutes, thousands at once.

Triton answers a create when the machine is provisioned, and goes on when the connection is closed
meanwhile. So a create is *held* on its connection while there are few, which gives it Triton's
own words if it fails; when many arrive, the oldest held ones are *let go*: their connection is
closed, and one list for all of them tells what became of them, by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from shim import limits
from shim.engine.api import ContainerSpec
from shim.engine.client.transport import timeout, understood
from shim.engine.containers.pacer import Pacer
from shim.engine.triton.transport import Lost, TritonTransport
from shim.errors import Ambiguous, InProgress, NameTaken, ShimError, Transient
from shim.model.container import Container, Phase

log = logging.getLogger(__name__)

LONG = timeout(limits.TRITON_CREATE_TIMEOUT)


@dataclass(slots=True)
class _Held:
    """A create on its connection."""

    scope: asyncio.Timeout
    sent_at: float | None = None
    let_go: bool = False


@dataclass(slots=True)
class _Waiting:
    """A create whose connection is closed."""

    again: Callable[[], None]
    since: float
    taken: NameTaken | None
    """Somebody else's create of this name is waited for."""
    seen: bool = False
    """A list has shown it while it was provisioned."""


class CreateTracker:
    """Nobody waits in here but for an answer on a connection: whoever has to wait otherwise gets
    Later, is called back, and asks again. So thousands of launches wait as entries of a dictionary.
    """

    def __init__(
        self,
        link: TritonTransport,
        look: Callable[[], Awaitable[object]],
        clock: Callable[[], float],
    ) -> None:
        """``look`` asks for a list, whose answer reaches :meth:`listed`."""
        self._link = link
        self._look = look
        self._clock = clock
        self._line: OrderedDict[str, Callable[[], None]] = OrderedDict()
        """Creates that want a place on a connection and find none."""
        self._admitted: set[str] = set()
        """Called back for a place that is kept for them."""
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._handshakes = asyncio.Semaphore(limits.CREATES_SENT_AT_ONCE)
        self._waiting: dict[str, _Waiting] = {}
        self._ended: dict[str, str | ShimError] = {}
        """What became of those that waited, until they ask."""
        self._calls: deque[Callable[[], None]] = deque()
        """Those to be told that they may ask."""
        self._calling = Pacer(self._call_back, limits.CREATE_WAKE)
        self._listed_at = clock()
        self._poller: asyncio.Task[None] | None = None
        self._shedding: asyncio.TimerHandle | None = None

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def create(self, spec: ContainerSpec, again: Callable[[], None]) -> str:
        """Its id, once it is provisioned. Raises what Triton said, or Transient when nothing was
        heard and nothing is there; and Later."""
        name = spec.name
        if (ended := self._ended.pop(name, None)) is not None:
            if isinstance(ended, str):
                return ended
            raise ended
        self._take_place(name, again)
        if (identity := await self._heard(spec)) is not None:
            return identity
        self.watch(name, again)
        raise InProgress

    def watch(self, name: str, again: Callable[[], None], taken: NameTaken | None = None) -> None:
        """Call back when it is provisioned, or is known not to be. ``taken`` is raised then to
        whoever asks for a create of an existing name."""
        self._waiting[name] = _Waiting(again, self._clock(), taken)
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll(), name="triton-creates")

    def forget(self, name: str) -> None:
        """It is not asked for again."""
        self._ended.pop(name, None)
        if name in self._admitted:
            self._admitted.remove(name)
            self._admit()

    def listed(self, containers: Iterable[Container], began: float) -> None:
        """A list that was asked for at ``began`` shows these containers of ours."""
        self._listed_at = self._clock()
        if not self._waiting:
            return
        by_name = {each.name: each for each in containers if each.name in self._waiting}
        for name, waiting in list(self._waiting.items()):
            found = by_name.get(name)
            if found is None:
                self._miss(name, waiting, began)
            elif found.phase is Phase.PROVISIONING:
                waiting.seen = True
            else:
                self._end(name, waiting, found.id)

    def close(self) -> None:
        self._calling.stop()
        for task in (self._poller, self._shedding):
            if task is not None:
                task.cancel()

    def _miss(self, name: str, waiting: _Waiting, began: float) -> None:
        """A list that began at ``began`` does not show it."""
        if waiting.seen and began > waiting.since:
            text = f"{name} failed while it was provisioned; Triton does not list it any more"
            self._end(name, waiting, Ambiguous(text))
        elif began - waiting.since > limits.PROVISIONING_UNSEEN:
            text = f"the create of {name} was not answered, and Triton never listed it"
            self._end(name, waiting, Transient(text))

    def _end(self, name: str, waiting: _Waiting, how: str | ShimError) -> None:
        del self._waiting[name]
        self._ended[name] = waiting.taken or how
        self._calls.append(waiting.again)
        self._calling.go()

    def _call_back(self) -> bool:
        """One at a time: what hundreds do next would keep a ping waiting."""
        if self._calls:
            self._calls.popleft()()
            return True
        return False

    async def _poll(self) -> None:
        """One list for all that wait; none when somebody else's list has just told."""
        try:
            while self._waiting:
                await asyncio.sleep(limits.CREATE_POLL)
                stale = self._clock() - self._listed_at >= limits.CREATE_POLL / 2
                if self._waiting and stale:
                    with contextlib.suppress(ShimError):
                        await self._look()
        finally:
            self._poller = None

    # --- places on connections

    def _free(self) -> int:
        return limits.CREATES_HELD - len(self._held) - len(self._admitted)

    def _take_place(self, name: str, again: Callable[[], None]) -> None:
        """Raises Later while there is none."""
        if name in self._admitted:
            self._admitted.remove(name)
        elif self._line or self._free() <= 0:
            self._line[name] = again
            self._shed()
            raise InProgress

    def _admit(self) -> None:
        """Call those back for whom there is a place now."""
        while self._line and self._free() > 0:
            name, again = self._line.popitem(last=False)
            self._admitted.add(name)
            asyncio.get_running_loop().call_soon(again)

    def _shed(self) -> None:
        """As long as creates want a place, see every now and then who can be let go."""
        if self._shedding is None and len(self._line) > self._free():
            loop = asyncio.get_running_loop()
            self._shedding = loop.call_later(limits.CREATE_SHED, self._let_go)

    def _let_go(self) -> None:
        """The oldest that had time to be refused make room for those that want it."""
        self._shedding = None
        missing = len(self._line) - self._free()
        now = asyncio.get_running_loop().time()
        for held in self._held.values():
            if missing <= 0:
                break
            heard = held.sent_at is not None and self._clock() - held.sent_at > limits.CREATE_HEARD
            if heard and not held.let_go:
                held.let_go = True
                held.scope.reschedule(now)
            missing -= held.let_go
        self._shed()

    # --- on a connection

    async def _heard(self, spec: ContainerSpec) -> str | None:
        """Its id; None when the connection was given up or broke: lists will tell."""
        name, body = spec.name, json.dumps(dict(spec.body)).encode()
        try:
            async with asyncio.timeout(None) as scope:
                held = self._held[name] = _Held(scope)
                return await self._post(name, body, held)
        except TimeoutError:
            return None
        except Lost as error:
            log.info("%s: %s; waiting for it to be listed", name, error)
            return None
        finally:
            self._held.pop(name, None)
            self._admit()

    async def _post(self, name: str, body: bytes, held: _Held) -> str:
        async with _Handshake(self._handshakes) as handshake:

            def sent() -> None:
                held.sent_at = self._clock()
                handshake.over()

            answer = await self._link.json(
                "create",
                "POST",
                "/containers/create",
                params={"name": name},
                data=body,
                headers={"Content-Type": "application/json"},
                session=self._link.creates,
                limit=LONG,
                trace_request_ctx=sent,
            )
        with understood("create"):
            return str(answer["Id"])


class _Handshake:
    """One of the few connections being opened, until the request is on its way."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._open = False

    async def __aenter__(self) -> _Handshake:
        await self._places.acquire()
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.over()

    def over(self) -> None:
        if self._open:
            self._open = False
            self._places.release()
