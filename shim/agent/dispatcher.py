"""Which service executes which order of the core."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

from shim import limits
from shim.agent.executor_service import ExecutorService
from shim.agent.messenger import Messenger
from shim.discovery.sync import ConsulSync
from shim.engine.checks.checker import Checker
from shim.engine.containers.containerizer import Containerizer
from shim.engine.containers.volume_provisioner import VolumeProvisioner
from shim.model import orders
from shim.model.container import Ref
from shim.model.ids import ExecutorKey
from shim.model.orders import Level, Order

log = logging.getLogger(__name__)

_LEVELS = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING, Level.ERROR: logging.ERROR}


class OrderDispatcher:
    """Passes each order on in the order of calls, without waiting. It decides nothing."""

    def __init__(
        self,
        messenger: Messenger,
        containerizer: Containerizer,
        checker: Checker,
        discovery: ConsulSync | None,
        executors: ExecutorService,
        volumes: VolumeProvisioner,
    ) -> None:
        self._messenger = messenger
        self._streams = executors.streams
        self._containerizer = containerizer
        self._discovery = discovery
        self._running: set[asyncio.Task[Any]] = set()
        self._withdrawals: dict[Ref, asyncio.Task[Any]] = {}
        """Tasks whose services are being removed from Consul."""
        self._handlers: dict[type, Callable[[Any], object]] = {
            orders.Send: self._send,
            orders.SendExecutorEvent: self._send_event,
            orders.EndStream: lambda o: executors.streams.end(o.stream),
            orders.ExplainSilence: lambda o: self._start(executors.silence.explain(o)),
            orders.Pong: lambda o: messenger.pong(o.to),
            orders.Authenticate: lambda o: self._start(messenger.authenticate(o)),
            orders.Launch: containerizer.carry_out,
            orders.LaunchExecutor: containerizer.carry_out,
            orders.AllowCreate: containerizer.carry_out,
            orders.CancelLaunch: containerizer.carry_out,
            orders.Watch: containerizer.carry_out,
            orders.Stop: self._stop,
            orders.Remove: containerizer.carry_out,
            orders.UpdateContainer: containerizer.carry_out,
            orders.RemoveOrphan: containerizer.carry_out,
            orders.RemoveVolume: volumes.carry_out,
            orders.StartChecks: checker.start,
            orders.StopChecks: lambda o: checker.stop(o.ref),
            orders.Publish: self._publish,
            orders.Withdraw: self._withdraw,
            orders.Notice: lambda o: log.log(_LEVELS[o.level], "%s", o.text),
        }

    def dispatch(self, order: Order) -> None:
        self._handlers[type(order)](order)

    async def close(self) -> None:
        """Cancel authentications and withdrawals under way."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    # --- service discovery ----------------------------------------------------------------

    def _publish(self, order: orders.Publish) -> None:
        if self._discovery is not None:
            self._discovery.publish(order)

    def _withdraw(self, order: orders.Withdraw) -> None:
        if self._discovery is None:
            return
        withdrawal = self._discovery.withdraw(
            order.ref, limits.WITHDRAW_TIMEOUT, inside=order.inside
        )
        task = self._start(withdrawal)
        self._withdrawals[order.ref] = task
        task.add_done_callback(partial(self._withdrawn, order.ref))

    def _withdrawn(self, ref: Ref, task: asyncio.Task[Any]) -> None:
        # A later withdrawal of the same task may be under way.
        if self._withdrawals.get(ref) is task:
            del self._withdrawals[ref]

    def _stop(self, order: orders.Stop) -> None:
        """Stop the container after its services have left Consul, or after WITHDRAW_TIMEOUT.

        Clients that ask Consul thus stop using a task before it gets its first signal.
        """
        refs = [order.ref]
        if isinstance(order.ref.key, ExecutorKey):
            container_id = order.ref.container_id
            refs = [ref for ref in self._withdrawals if ref.container_id == container_id]
        self._when_withdrawn(refs, self._containerizer.carry_out, order)

    def _send(self, order: orders.Send) -> None:
        refs = () if order.withdrawn is None else (order.withdrawn,)
        self._when_withdrawn(refs, self._messenger.send, order.to, order.message)

    def _send_event(self, order: orders.SendExecutorEvent) -> None:
        refs = () if order.withdrawn is None else (order.withdrawn,)
        self._when_withdrawn(refs, self._streams.send, order.stream, order.event)

    def _when_withdrawn(
        self, refs: Iterable[Ref], call: Callable[..., object], *arguments: Any
    ) -> None:
        """Call it when no withdrawal of these tasks is under way any more."""
        waits = [self._withdrawals[ref] for ref in refs if ref in self._withdrawals]
        if not waits:
            call(*arguments)
            return
        over = asyncio.gather(*waits, return_exceptions=True)
        over.add_done_callback(lambda _: call(*arguments))
