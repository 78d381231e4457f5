"""Creates, each of which takes as long as its provisioning: seconds to many minutes.

Triton answers a create when the machine is provisioned, and continues when the connection is closed
meanwhile. A create keeps its connection while few are under way: a failure then has Triton's own
error text. When many arrive, the oldest are detached: their connections are closed, and one list
for all of them shows the outcome of each, by its name.

A create on a connection takes one of CREATES_HELD connection slots.

The states of a create, each in a collection of :class:`CreateTracker`::

    create() --> no slot free --> queued --> slot reserved --on_ready--> create()
        |
        +------> slot free ------> connected --> answered: its id, or Triton's error
                                       |
                                       | released, or the connection broke
                                       v
    create() --NameTaken, and  --> detached --listed as provisioned,---> outcome kept
      provisioning: watch()                   not listed any more           |
                                                                            | on_ready
                                                                            v
                                                                         create(): the outcome

A caller of a queued or detached create gets InProgress and waits for ``on_ready``, without an
asyncio task. So thousands of creates wait as entries of a dictionary.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shim import limits
from shim.engine.api import ContainerSpec
from shim.engine.client.pacing import Pacer
from shim.engine.client.transport import parsing, time_limit
from shim.engine.triton.transport import AnswerLost, TritonTransport
from shim.errors import Ambiguous, InProgress, NameTaken, ShimError, Transient
from shim.model.container import Container, Phase

log = logging.getLogger(__name__)

LONG = time_limit(limits.TRITON_CREATE_TIMEOUT)


@dataclass(slots=True)
class _Connected:
    """A create that waits for its answer on a connection."""

    timer: asyncio.Timeout
    sent_at: float | None = None
    """None: the TLS handshake is under way."""
    released: bool = False


@dataclass(slots=True)
class _Detached:
    """A create without a connection: lists show its outcome."""

    on_ready: Callable[[], None]
    since: float
    conflict: NameTaken | None
    """Another create of this name is under way; this error is the outcome."""
    listed: bool = False
    """A list has shown it as being provisioned."""


class CreateTracker:
    """All creates under way at one datacenter."""

    def __init__(
        self,
        transport: TritonTransport,
        relist: Callable[[], Awaitable[object]],
        clock: Callable[[], float],
    ) -> None:
        """``relist`` asks for a list, whose answer is handed to :meth:`listed`."""
        self._transport = transport
        self._relist = relist
        self._clock = clock
        self._queued: OrderedDict[str, Callable[[], None]] = OrderedDict()
        self._reserved: set[str] = set()
        self._connected: OrderedDict[str, _Connected] = OrderedDict()
        self._detached: dict[str, _Detached] = {}
        self._outcomes: dict[str, str | ShimError] = {}
        self._callbacks: deque[Callable[[], None]] = deque()
        """``on_ready`` of the creates whose outcome is known."""
        self._callback_pacer = Pacer(self._call_back, limits.CREATE_CALLBACK_INTERVAL)
        self._handshakes = asyncio.Semaphore(limits.CREATES_SENT_AT_ONCE)
        self._listed_at = clock()
        self._poller: asyncio.Task[None] | None = None
        self._release_timer: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> int:
        """Creates that wait on a connection."""
        return len(self._connected)

    @property
    def detached(self) -> int:
        """Creates that wait for a list."""
        return len(self._detached)

    async def create(self, spec: ContainerSpec, on_ready: Callable[[], None]) -> str:
        """The container's id, once it is provisioned; or InProgress.

        Raises what Triton answered. Transient: there was no answer, and there is no container.
        """
        name = spec.name
        if (outcome := self._outcomes.pop(name, None)) is not None:
            if isinstance(outcome, str):
                return outcome
            raise outcome
        self._take_slot(name, on_ready)
        identity = await self._await_answer(spec)
        if identity is None:
            self.watch(name, on_ready)
            raise InProgress
        return identity

    def watch(
        self, name: str, on_ready: Callable[[], None], conflict: NameTaken | None = None
    ) -> None:
        """Call ``on_ready`` when lists show the outcome of the create of ``name``.

        The next :meth:`create` raises ``conflict`` then, if there is one.
        """
        self._detached[name] = _Detached(on_ready, self._clock(), conflict)
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll(), name="triton-creates")

    def forget(self, name: str) -> None:
        """The container is removed: drop the outcome of its create."""
        self._outcomes.pop(name, None)
        if name in self._reserved:
            self._reserved.remove(name)
            self._reserve_slots()

    def close(self) -> None:
        self._callback_pacer.stop()
        for task in (self._poller, self._release_timer):
            if task is not None:
                task.cancel()

    # --- detached ---------------------------------------------------------------------------

    def listed(self, containers: Iterable[Container], began: float) -> None:
        """A list that was asked for at ``began`` shows these containers of this shim."""
        self._listed_at = self._clock()
        if not self._detached:
            return
        by_name = {each.name: each for each in containers if each.name in self._detached}
        for name, create in list(self._detached.items()):
            found = by_name.get(name)
            if found is None:
                self._not_listed(name, create, began)
            elif found.phase is Phase.PROVISIONING:
                create.listed = True
            else:
                self._end(name, found.id)

    def _not_listed(self, name: str, create: _Detached, began: float) -> None:
        """A list that was asked for at ``began`` does not show the container."""
        if create.listed and began > create.since:
            text = f"{name} failed while it was provisioned; Triton does not list it any more"
            self._end(name, Ambiguous(text))
        elif began - create.since > limits.CREATE_UNSEEN_MAX:
            text = f"the create of {name} was not answered, and Triton never listed it"
            self._end(name, Transient(text))

    def _end(self, name: str, outcome: str | ShimError) -> None:
        create = self._detached.pop(name)
        self._outcomes[name] = create.conflict or outcome
        self._callbacks.append(create.on_ready)
        self._callback_pacer.wake()

    def _call_back(self) -> bool:
        """One callback at a time: the work that follows hundreds of them would delay a ping."""
        if self._callbacks:
            self._callbacks.popleft()()
            return True
        return False

    async def _poll(self) -> None:
        """One list for all detached creates; none if another caller's list was just answered."""
        try:
            while self._detached:
                await asyncio.sleep(limits.CREATE_POLL)
                stale = self._clock() - self._listed_at >= limits.CREATE_POLL / 2
                if self._detached and stale:
                    with contextlib.suppress(ShimError):
                        await self._relist()
        finally:
            self._poller = None

    # --- connection slots -------------------------------------------------------------------

    def _free_slots(self) -> int:
        return limits.CREATES_HELD - len(self._connected) - len(self._reserved)

    def _take_slot(self, name: str, on_ready: Callable[[], None]) -> None:
        """Take a connection slot. InProgress when none is free: the create is queued."""
        if name in self._reserved:
            self._reserved.remove(name)
        elif self._queued or self._free_slots() <= 0:
            self._queued[name] = on_ready
            self._schedule_release()
            raise InProgress

    def _reserve_slots(self) -> None:
        """Call back queued creates, as many as there are free slots."""
        while self._queued and self._free_slots() > 0:
            name, on_ready = self._queued.popitem(last=False)
            self._reserved.add(name)
            asyncio.get_running_loop().call_soon(on_ready)

    def _schedule_release(self) -> None:
        """As long as creates are queued, look for connections to release at intervals."""
        if self._release_timer is None and len(self._queued) > self._free_slots():
            loop = asyncio.get_running_loop()
            interval = limits.CREATE_RELEASE_INTERVAL
            self._release_timer = loop.call_later(interval, self.release_connections)

    def release_connections(self) -> None:
        """Detach the oldest creates, as many as are queued, if Triton had time to refuse them."""
        self._release_timer = None
        missing = len(self._queued) - self._free_slots()
        for create in self._connected.values():
            if missing <= 0:
                break
            if not create.released and self._held_long_enough(create):
                self.detach(create)
            missing -= create.released
        self._schedule_release()

    def _held_long_enough(self, create: _Connected) -> bool:
        held_since = create.sent_at
        return held_since is not None and self._clock() - held_since > limits.CREATE_HELD_MIN

    @staticmethod
    def detach(create: _Connected) -> None:
        """Close its connection; lists show its outcome."""
        create.released = True
        create.timer.reschedule(asyncio.get_running_loop().time())

    # --- connected --------------------------------------------------------------------------

    async def _await_answer(self, spec: ContainerSpec) -> str | None:
        """The container's id; None when the create was detached or its connection broke."""
        name, body = spec.name, json.dumps(dict(spec.body)).encode()
        try:
            async with asyncio.timeout(None) as timer:
                create = self._connected[name] = _Connected(timer)
                return await self._post(name, body, create)
        except TimeoutError:
            return None
        except AnswerLost as error:
            log.info("%s: %s; waiting for it to be listed", name, error)
            return None
        finally:
            self._connected.pop(name, None)
            self._reserve_slots()

    async def _post(self, name: str, body: bytes, create: _Connected) -> str:
        async with self._handshake() as end_handshake:

            def on_sent() -> None:
                create.sent_at = self._clock()
                end_handshake()

            answer = await self._transport.json(
                "create",
                "POST",
                "/containers/create",
                params={"name": name},
                data=body,
                headers={"Content-Type": "application/json"},
                session=self._transport.creates,
                timeout=LONG,
                trace_request_ctx=on_sent,
            )
        with parsing("create"):
            return str(answer["Id"])

    @asynccontextmanager
    async def _handshake(self) -> AsyncIterator[Callable[[], None]]:
        """One of the few connections being opened, until the yielded function is called."""
        await self._handshakes.acquire()
        with contextlib.ExitStack() as stack:
            stack.callback(self._handshakes.release)
            yield stack.close
