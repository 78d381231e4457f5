"""Keep the services in Consul equal to the services that the agent's orders ask for.

A resync reads what Consul has and compares it with :class:`DesiredState`; several writers write
the differences. Orders only change the desired state and queue service ids, so no task waits for
Consul. :meth:`ConsulSync.withdraw` is the exception: it waits for a bounded time, and it does not
wait while Consul is down. Nothing is written before the first resync or while Consul is down.

    order -> DesiredState -> WriteQueue -> writers --ok--------> registered
                  ^                           |---Transient---> retry_later, mark_down, resync
    resync -------+                           `---Permanent---> retry after CONSUL_REFUSED_RETRY
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from shim import limits
from shim.discovery.consul_client import ConsulClient
from shim.discovery.desired_state import ENDING, DesiredState, WriteOp, registered_services
from shim.discovery.service_checks import PASSING
from shim.discovery.services import Service, ServiceContext, task_services
from shim.discovery.write_queue import WriteQueue
from shim.errors import NotFound, Permanent, Transient
from shim.model.container import Ref
from shim.model.orders import Publish

log = logging.getLogger(__name__)

_MAX_WRITES_IN_ROW = 4
"""Writes for one id in a row. Another client that undoes them has to wait for a resync."""


@dataclass(frozen=True, slots=True)
class SyncStats:
    """Figures for metrics and pages."""

    connected: bool
    registered: int
    pending: int
    refused: int
    writes: int
    failures: int


class ConsulSync:
    """The registrations of one agent at one Consul agent."""

    def __init__(
        self,
        client: ConsulClient,
        context: ServiceContext,
        *,
        own_service: Callable[[], Service] | None = None,
        interval: float = limits.CONSUL_RESYNC_INTERVAL,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        """``own_service`` gives the agent's own service with its present health.

        While ``may_act`` is false another agent may be the owner: nothing is written.
        """
        self._may_act = may_act
        self._client, self._context, self._interval = client, context, interval
        self._own_service = own_service
        self._desired = DesiredState(context)
        self._queue = WriteQueue()
        self._connected = asyncio.Event()
        self._resync_now = asyncio.Event()
        self._failed_resyncs = 0
        self._removals: dict[str, asyncio.Future[bool]] = {}
        """Service ids whose removal a caller waits for; True: the service is gone."""
        self._backing_off: dict[str, asyncio.TimerHandle] = {}
        """Service ids that are not written until their timer fires or their task changes."""
        self._attempts: dict[str, int] = {}
        self._writes = self._failures = 0

    # --- orders

    def publish(self, order: Publish) -> None:
        """Register the task, or update its registration. Returns at once."""
        wanted = task_services(order, self._context)
        if order.ref not in self._desired:
            for note in wanted.notes:
                log.warning("task %s in Consul: %s", order.ref, note)
        services = wanted.services
        if len(self._desired.services) + len(services) > limits.CONSUL_SERVICES:
            log.error("task %s: more than %d services", order.ref, limits.CONSUL_SERVICES)
            services = ()
        self._enqueue(self._desired.publish(order.ref, services))

    def withdraw(
        self, ref: Ref, timeout: float, *, inside: bool = False
    ) -> Coroutine[Any, Any, bool]:
        """Put the task's services into maintenance and deregister them.

        A publish after this call counts, also before the coroutine begins. The coroutine waits at
        most ``timeout`` seconds, and not at all while Consul is down. The removal continues after
        the timeout. True when the services are gone.
        """
        return self._wait_removed(self._desired.withdraw(ref, inside=inside), timeout)

    async def withdraw_agent(self, timeout: float) -> bool:
        """Deregister the agent's own service, when the agent leaves for good."""
        if self._own_service is None:
            return True
        service, self._own_service = self._own_service(), None
        self._desired.remove_service(service.id)
        return await self._wait_removed([service.id], timeout)

    def enable_orphan_removal(self) -> None:
        """Every running task has been published: orphans may be removed from now on."""
        self._desired.enable_orphan_removal()

    def names_of(self, ref: Ref) -> tuple[str, ...]:
        """The names of a container's services, for pages."""
        return self._desired.names_of(ref)

    @property
    def stats(self) -> SyncStats:
        return SyncStats(
            connected=self._connected.is_set(),
            registered=len(self._desired.registered),
            pending=len(self._queue),
            refused=len(self._backing_off),
            writes=self._writes,
            failures=self._failures,
        )

    # --- the loops

    async def run(self) -> None:
        """Run until cancelled. Services stay registered after that."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._resync_loop())
                group.create_task(self._heartbeat_loop())
                for _ in range(limits.CONSUL_CONNECTIONS):
                    group.create_task(self._write_loop())
        finally:
            self._mark_down()
            for handle in self._backing_off.values():
                handle.cancel()

    async def _heartbeat_loop(self) -> None:
        while True:
            if self._own_service is not None:
                service = self._own_service()
                self._desired.add_service(service)
                self._desired.force_ttl(service.id)
                self._enqueue([service.id], urgent=True)
            await asyncio.sleep(limits.CONSUL_AGENT_TTL / 3)

    async def _resync_loop(self) -> None:
        while True:
            delay = await self._resync()
            # asyncio.wait_for() of Python 3.11 can lose a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._resync_now.wait()
            if self._resync_now.is_set():
                self._resync_now.clear()
                await asyncio.sleep(limits.CONSUL_RETRY_MIN)

    async def _write_loop(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._connected.wait()
                while not self._may_act():  # noqa: ASYNC110 - the lease ends by time alone
                    await asyncio.sleep(limits.CONSUL_RETRY_MIN)
                if key not in self._backing_off:
                    await self._reconcile(key)
            finally:
                self._queue.done(key)

    # --- reading

    async def _resync(self) -> float:
        """Read and compare once. Returns the seconds until the next resync."""
        self._desired.begin_resync()
        try:
            services = await self._client.services(self._context.owner)
            checks = await self._client.checks(self._context.prefix)
            listed = registered_services(services, checks, self._context)
            if not listed:
                await self._verify_empty_list()
        except (Transient, Permanent) as error:
            return self._resync_failed(str(error))
        except (KeyError, TypeError, AttributeError) as error:
            return self._resync_failed(f"not an answer of a Consul agent: {error!r}")
        await asyncio.sleep(0)  # With 10,000 services each half takes a tenth of a second.
        dirty = self._desired.finish_resync(listed, monotonic())
        if not self._connected.is_set():
            log.info("Consul at %s answers; %d services to write", self._client.url, len(dirty))
        self._failed_resyncs = 0
        self._connected.set()
        self._enqueue(key for key in dirty if key not in self._backing_off)
        return self._interval

    async def _verify_empty_list(self) -> None:
        """Read one expected service by id before an empty list is accepted.

        Consul answers a token without read permission with an empty list and status 200.
        """
        expected = next(iter(self._desired.registered or self._desired.services), None)
        if expected is not None and await self._client.has_service(expected):
            raise Permanent(
                f"the list of services is empty, but {expected} is registered: "
                "the token may lack read permission"
            )

    def _resync_failed(self, reason: str) -> float:
        self._failures += 1
        if not self._failed_resyncs:
            log.warning("Consul: %s (tasks keep running, registrations wait)", reason)
        self._failed_resyncs += 1
        self._mark_down()
        return _backoff(self._failed_resyncs)

    def _mark_down(self) -> None:
        """Consul is down: stop the writers and end every wait for a removal."""
        self._connected.clear()
        for removal in self._removals.values():
            if not removal.done():
                removal.set_result(False)
        self._removals.clear()

    # --- writing

    def _enqueue(self, keys: Iterable[str], *, urgent: bool = False) -> None:
        for key in keys:
            if handle := self._backing_off.pop(key, None):
                handle.cancel()
            self._queue.put(key, urgent=urgent)

    async def _wait_removed(self, keys: list[str], timeout: float) -> bool:
        self._enqueue(keys, urgent=True)
        if not keys:
            return True
        if not self._connected.is_set():
            return False
        loop = asyncio.get_running_loop()
        removals = [self._removals.setdefault(key, loop.create_future()) for key in keys]
        await asyncio.wait(removals, timeout=timeout)
        return all(removal.done() and removal.result() for removal in removals)

    async def _reconcile(self, key: str) -> None:
        """Write until the service is as desired, or a write fails."""
        for _ in range(_MAX_WRITES_IN_ROW):
            write = self._desired.next_write(key, monotonic())
            service = self._desired.services.get(key)
            if write is None:
                break
            try:
                await self._write(write, key, service)
            except Transient as error:
                return self._retry_later(key, error)
            except Permanent as error:
                return self._refused(key, service, error)
        self._attempts.pop(key, None)
        if self._desired.confirm_removed(key):
            self._end_removal(key, removed=True)
        return None

    async def _write(self, write: WriteOp, key: str, service: Service | None) -> None:
        before = self._desired.registered.get(key)
        self._writes += 1
        if service is None:
            await self._deregister(key)
        elif write is WriteOp.REGISTER:
            await self._client.register(service.body)
            if before is not None and before.maintenance not in (None, ENDING):
                # A registration ends an operator's maintenance mode.
                await self._client.enter_maintenance(key, str(before.maintenance))
        elif write is WriteOp.LEAVE_MAINTENANCE:
            await self._client.leave_maintenance(key)
        else:
            await self._update_check(service)
        self._desired.record_write(write, key, service, before, monotonic())

    async def _deregister(self, key: str) -> None:
        try:
            await self._client.enter_maintenance(key, ENDING)
        except NotFound:
            return
        await self._client.deregister(key)

    async def _update_check(self, service: Service) -> None:
        passing = service.check.status == PASSING
        name = service.check.fields["Name"]
        note = f"{name}: {'healthy' if passing else 'not healthy (yet)'}"
        try:
            await self._client.update_check(service.check_id, passing, note)
        except NotFound:
            # The Consul agent lost the check, or another client removed it.
            await self._client.register(service.body)

    def _retry_later(self, key: str, error: Transient) -> None:
        """The outcome of a write is unknown: resync, then try again."""
        self._failures += 1
        log.debug("Consul: %s: %s", key, error)
        self._desired.mark_unknown(key)
        attempt = self._attempts[key] = self._attempts.get(key, 0) + 1
        self._back_off(key, _backoff(attempt))
        self._mark_down()
        self._resync_now.set()

    def _refused(self, key: str, service: Service | None, error: Permanent) -> None:
        self._failures += 1
        log.warning("Consul refuses %s: %s", key, error)
        if self._desired.services.get(key) is not service:
            self._queue.put(key)  # The service changed meanwhile: the new one may be accepted.
            return
        self._end_removal(key, removed=False)
        self._back_off(key, limits.CONSUL_REFUSED_RETRY)

    def _back_off(self, key: str, delay: float) -> None:
        """Do not write this id for ``delay`` seconds, unless its task changes."""

        def release() -> None:
            self._backing_off.pop(key, None)
            self._queue.put(key)

        self._backing_off[key] = asyncio.get_running_loop().call_later(delay, release)

    def _end_removal(self, key: str, *, removed: bool) -> None:
        removal = self._removals.pop(key, None)
        if removal is not None and not removal.done():
            removal.set_result(removed)


def _backoff(failures: int) -> float:
    """Seconds until the next attempt.

    The exponent is bounded: after a night without Consul the power would exceed a float.
    """
    return min(limits.CONSUL_RETRY_MIN * 2.0 ** min(failures, 32), limits.CONSUL_RETRY_MAX)
