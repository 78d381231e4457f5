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
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from shim import limits
from shim.engine.api import ContainerSpec
from shim.engine.transport import understood
from shim.engine.triton.link import Link, Lost, timeout
from shim.errors import Doubtful, ShimError, Transient
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

    done: asyncio.Future[str]
    since: float
    seen: bool = False
    """A list has shown it while it was provisioned."""

    def provisioned(self, identity: str) -> None:
        if not self.done.done():
            self.done.set_result(identity)


class Creates:
    def __init__(
        self, link: Link, look: Callable[[], Awaitable[object]], clock: Callable[[], float]
    ) -> None:
        """``look`` asks for a list, whose answer reaches :meth:`listed`."""
        self._link = link
        self._look = look
        self._clock = clock
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._places = asyncio.Semaphore(limits.CREATES_HELD)
        self._wanted = 0
        """Creates that want a place on a connection and find none."""
        self._handshakes = asyncio.Semaphore(limits.CREATES_SENT_AT_ONCE)
        self._waiting: dict[str, _Waiting] = {}
        self._listed_at = clock()
        self._poller: asyncio.Task[None] | None = None
        self._shedding: asyncio.TimerHandle | None = None

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def create(self, spec: ContainerSpec) -> str:
        """Its id, once it is provisioned. Raises what Triton said, or Transient when nothing was
        heard and nothing is there."""
        try:
            return await self._heard(spec)
        except _LetGo:
            pass
        except Lost as error:
            log.info("%s: %s; waiting for it to be listed", spec.name, error)
        return await self.settled(spec.name)

    async def settled(self, name: str) -> str:
        """The id of a container that is provisioned now or soon. Transient when there is none."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[name] = _Waiting(future, self._clock())
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll(), name="triton-creates")
        try:
            return await future
        finally:
            self._waiting.pop(name, None)

    def listed(self, containers: Iterable[Container], began: float) -> None:
        """A list that was asked for at ``began`` shows these containers of ours."""
        self._listed_at = self._clock()
        if not self._waiting:
            return
        by_name = {each.name: each for each in containers if each.name in self._waiting}
        loop, wake = asyncio.get_running_loop(), 0
        for name, waiting in self._waiting.items():
            found = by_name.get(name)
            if found is None:
                self._miss(name, waiting, began)
            elif found.phase is Phase.PROVISIONING:
                waiting.seen = True
            else:
                # One after the other: what hundreds do next, all in one turn of the loop, would
                # keep a ping waiting.
                loop.call_later(wake * limits.CREATE_WAKE, waiting.provisioned, found.id)
                wake += 1

    def close(self) -> None:
        for task in (self._poller, self._shedding):
            if task is not None:
                task.cancel()

    def _miss(self, name: str, waiting: _Waiting, began: float) -> None:
        """A list that began at ``began`` does not show it."""
        if waiting.done.done():
            return
        if waiting.seen and began > waiting.since:
            text = f"{name} failed while it was provisioned; Triton does not list it any more"
            waiting.done.set_exception(Doubtful(text))
        elif began - waiting.since > limits.PROVISIONING_UNSEEN:
            text = f"the create of {name} was not answered, and Triton never listed it"
            waiting.done.set_exception(Transient(text))

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

    # --- on a connection

    async def _heard(self, spec: ContainerSpec) -> str:
        """Its id, as long as the connection may be held. Raises _LetGo."""
        body = json.dumps(dict(spec.body)).encode()
        async with self._place(spec.name) as held:
            return await self._post(spec.name, body, held)

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

    @contextlib.asynccontextmanager
    async def _place(self, name: str) -> AsyncIterator[_Held]:
        """One of the few connections; raises _LetGo when somebody else needs it."""
        self._wanted += 1
        self._shed()
        try:
            await self._places.acquire()
        finally:
            self._wanted -= 1
        try:
            async with asyncio.timeout(None) as scope:
                held = self._held[name] = _Held(scope)
                yield held
        except TimeoutError:
            raise _LetGo from None
        finally:
            self._held.pop(name, None)
            self._places.release()

    def _shed(self) -> None:
        """As long as creates want a place, see every now and then who can be let go."""
        if self._shedding is None and self._wanted > limits.CREATES_HELD - len(self._held):
            loop = asyncio.get_running_loop()
            self._shedding = loop.call_later(limits.CREATE_SHED, self._let_go)

    def _let_go(self) -> None:
        """The oldest that had time to be refused make room for those that want it."""
        self._shedding = None
        missing = self._wanted - (limits.CREATES_HELD - len(self._held))
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


class _LetGo(Exception):
    """The connection was given up for another create's sake."""
