"""Keep Consul equal to what the agent's orders say, whatever happens to either of them.

A look reads what Consul has; the book compares; writers write what differs, several at once.
Orders only change the book and queue the ids concerned, so that no task ever waits for Consul:
:meth:`ConsulSync.withdraw` alone waits, for a bounded time, and not at all when Consul is away.
Nothing is written before the first look of a life, nor while Consul does not answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from shim import limits
from shim.discovery.checks import PASSING
from shim.discovery.client import ConsulClient
from shim.discovery.desired_state import ENDING, DesiredState, WriteOp, registered_services
from shim.discovery.queue import WorkQueue
from shim.discovery.services import Service, ServiceContext, registration
from shim.errors import NotFound, Permanent, Transient
from shim.model.container import Ref
from shim.model.orders import Publish

log = logging.getLogger(__name__)

_ACTS_AT_ONCE = 4
"""Writes for one id in a row; more means somebody undoes them, which can wait for a look."""


@dataclass(frozen=True, slots=True)
class Stats:
    """For metrics and pages."""

    connected: bool
    wanted: int
    known: int
    pending: int
    refused: int
    writes: int
    failures: int


class ConsulSync:
    """One agent's registrations at one Consul agent."""

    def __init__(
        self,
        client: ConsulClient,
        site: ServiceContext,
        *,
        me: Callable[[], Service] | None = None,
        interval: float = limits.CONSUL_LOOK_INTERVAL,
    ) -> None:
        """``me`` gives the agent's own service with its present health, whenever asked."""
        self._client, self._site, self._me, self._interval = client, site, me, interval
        self._book = DesiredState(site)
        self._queue = WorkQueue()
        self._up = asyncio.Event()
        self._poke = asyncio.Event()
        self._failed_looks = 0
        self._departures: dict[str, asyncio.Future[bool]] = {}
        self._held: dict[str, asyncio.TimerHandle] = {}
        self._attempts: dict[str, int] = {}
        self._writes = self._failures = 0

    # --- orders

    def publish(self, order: Publish) -> None:
        """Register the task, or bring its registration up to date. Returns at once."""
        wanted = registration(order, self._site)
        if order.ref not in self._book:
            for note in wanted.notes:
                log.warning("task %s in Consul: %s", order.ref, note)
        services = wanted.services
        if len(self._book.wanted) + len(services) > limits.CONSUL_SERVICES:
            log.error("task %s: more than %d services", order.ref, limits.CONSUL_SERVICES)
            services = ()
        self._enqueue(self._book.publish(order.ref, services))

    async def withdraw(self, ref: Ref, timeout: float) -> bool:
        """Put the task's services into maintenance and deregister them.

        Waits at most ``timeout`` seconds, and not while Consul is away; it goes on after that.
        True when they are gone for certain.
        """
        return await self._depart(self._book.withdraw(ref), timeout)

    async def withdraw_agent(self, timeout: float) -> bool:
        """Deregister the agent's own service: it leaves for good."""
        if self._me is None:
            return True
        me, self._me = self._me(), None
        self._book.drop(me.id)
        return await self._depart([me.id], timeout)

    def ready(self) -> None:
        """Every task that runs was published: others that bear our mark may be removed."""
        self._book.ready()

    @property
    def stats(self) -> Stats:
        return Stats(
            connected=self._up.is_set(),
            wanted=len(self._book.wanted),
            known=len(self._book.known),
            pending=len(self._queue),
            refused=len(self._held),
            writes=self._writes,
            failures=self._failures,
        )

    # --- the loops

    async def run(self) -> None:
        """Until cancelled. Consul keeps what is registered then."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look_forever())
                group.create_task(self._beat_forever())
                for _ in range(limits.CONSUL_CONNECTIONS):
                    group.create_task(self._write_forever())
        finally:
            self._lose()
            for handle in self._held.values():
                handle.cancel()

    async def _beat_forever(self) -> None:
        while True:
            if self._me is not None:
                me = self._me()
                self._book.keep(me)
                self._book.feed(me.id)
                self._enqueue([me.id], urgent=True)
            await asyncio.sleep(limits.CONSUL_AGENT_TTL / 3)

    async def _look_forever(self) -> None:
        while True:
            delay = await self._look()
            # Not wait_for(): in Python 3.11 it may swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._poke.wait()
            if self._poke.is_set():
                self._poke.clear()
                await asyncio.sleep(limits.CONSUL_RETRY_MIN)

    async def _write_forever(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._up.wait()
                if key not in self._held:
                    await self._settle(key)
            finally:
                self._queue.done(key)

    # --- looking

    async def _look(self) -> float:
        """Compare once; seconds to the next time."""
        self._book.look_begins()
        try:
            services = await self._client.services(self._site.owner)
            checks = await self._client.checks(self._site.prefix)
            seen = registered_services(services, checks, self._site)
            if not seen:
                await self._believe_nothing()
        except (Transient, Permanent) as error:
            return self._look_failed(str(error))
        except (KeyError, TypeError, AttributeError) as error:
            return self._look_failed(f"an answer that is none of Consul's: {error!r}")
        await asyncio.sleep(0)  # With 10,000 services each half takes a tenth of a second.
        dirty = self._book.look_ends(seen, monotonic())
        if not self._up.is_set():
            log.info("Consul at %s answers; %d services to write", self._client.url, len(dirty))
        self._failed_looks = 0
        self._up.set()
        self._enqueue(key for key in dirty if key not in self._held)
        return self._interval

    async def _believe_nothing(self) -> None:
        """Without rights Consul lists nothing, and says 200: ask for one by its name."""
        known = next(iter(self._book.known or self._book.wanted), None)
        if known is not None and await self._client.has(known):
            raise Permanent(f"lists none of our services but has {known}: may its token read?")

    def _look_failed(self, words: str) -> float:
        self._failures += 1
        if not self._failed_looks:
            log.warning("Consul: %s (tasks go on, registrations wait)", words)
        self._failed_looks += 1
        self._lose()
        return _backoff(self._failed_looks)

    def _lose(self) -> None:
        """Consul is away: nobody waits for it."""
        self._up.clear()
        for departure in self._departures.values():
            if not departure.done():
                departure.set_result(False)
        self._departures.clear()

    # --- writing

    def _enqueue(self, keys: Iterable[str], *, urgent: bool = False) -> None:
        for key in keys:
            if handle := self._held.pop(key, None):
                handle.cancel()
            self._queue.put(key, urgent=urgent)

    async def _depart(self, keys: list[str], timeout: float) -> bool:
        self._enqueue(keys, urgent=True)
        if not keys:
            return True
        if not self._up.is_set():
            return False
        loop = asyncio.get_running_loop()
        waiting = [self._departures.setdefault(key, loop.create_future()) for key in keys]
        await asyncio.wait(waiting, timeout=timeout)
        return all(future.done() and future.result() for future in waiting)

    async def _settle(self, key: str) -> None:
        """Write until the id is as wanted, or a write fails."""
        for _ in range(_ACTS_AT_ONCE):
            act, service = self._book.act(key, monotonic()), self._book.wanted.get(key)
            if act is None:
                break
            try:
                await self._carry_out(act, key, service)
            except Transient as error:
                return self._stumble(key, error)
            except Permanent as error:
                return self._refuse(key, service, error)
        self._attempts.pop(key, None)
        if self._book.left(key):
            self._departed(key, True)
        return None

    async def _carry_out(self, act: WriteOp, key: str, service: Service | None) -> None:
        have = self._book.known.get(key)
        self._writes += 1
        if service is None:
            await self._remove(key)
        elif act is WriteOp.REGISTER:
            await self._client.register(service.body)
            if have is not None and have.maintenance not in (None, ENDING):
                # Registering took the operator's maintenance away.
                await self._client.maintain(key, str(have.maintenance))
        elif act is WriteOp.RESUME:
            await self._client.resume(key)
        else:
            await self._report(service)
        self._book.wrote(act, key, service, have, monotonic())

    async def _remove(self, key: str) -> None:
        try:
            await self._client.maintain(key, ENDING)
        except NotFound:
            return
        await self._client.deregister(key)

    async def _report(self, service: Service) -> None:
        passing = service.check.status == PASSING
        name = service.check.fields["Name"]
        words = f"{name}: {'healthy' if passing else 'not healthy (yet)'}"
        try:
            await self._client.report(service.check_id, passing, words)
        except NotFound:
            # The agent lost it, or somebody removed it.
            await self._client.register(service.body)

    def _stumble(self, key: str, error: Transient) -> None:
        """No certain answer: look whether Consul is there at all, then try again."""
        self._failures += 1
        log.debug("Consul: %s: %s", key, error)
        self._book.doubt(key)
        attempt = self._attempts[key] = self._attempts.get(key, 0) + 1
        self._hold(key, _backoff(attempt))
        self._lose()
        self._poke.set()

    def _refuse(self, key: str, service: Service | None, error: Permanent) -> None:
        self._failures += 1
        log.warning("Consul refuses %s: %s", key, error)
        if self._book.wanted.get(key) is not service:
            self._queue.put(key)  # It changed meanwhile: another matter.
            return
        self._departed(key, False)
        self._hold(key, limits.CONSUL_REFUSED_RETRY)

    def _hold(self, key: str, delay: float) -> None:
        """Leave the id alone for so long, unless its task changes."""

        def release() -> None:
            self._held.pop(key, None)
            self._queue.put(key)

        self._held[key] = asyncio.get_running_loop().call_later(delay, release)

    def _departed(self, key: str, gone: bool) -> None:
        departure = self._departures.pop(key, None)
        if departure is not None and not departure.done():
            departure.set_result(gone)


def _backoff(failures: int) -> float:
    """Seconds until the next attempt. The exponent is bounded: a thousand failures, one night's
    outage, would be more than a float can hold."""
    return min(limits.CONSUL_RETRY_MIN * 2.0 ** min(failures, 32), limits.CONSUL_RETRY_MAX)
