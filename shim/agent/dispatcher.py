"""Which service executes which order of the core."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
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
        self._containerizer = containerizer
        self._discovery = discovery
        self._running: set[asyncio.Task[Any]] = set()
        self._withdrawals: dict[Ref, asyncio.Task[Any]] = {}
        """Tasks whose services are being removed from Consul."""
        self._handlers: dict[type, Callable[[Any], object]] = {
            orders.Send: lambda o: messenger.send(o.to, o.message),
            orders.SendExecutorEvent: lambda o: executors.streams.send(o.stream, o.event),
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
        task = self._start(self._discovery.withdraw(order.ref, limits.WITHDRAW_TIMEOUT))
        self._withdrawals[order.ref] = task
        task.add_done_callback(lambda _: self._withdrawals.pop(order.ref, None))

    def _stop(self, order: orders.Stop) -> None:
        """Stop the container after its services have left Consul, or after WITHDRAW_TIMEOUT.

        Clients that ask Consul thus stop using a task before it gets its first signal.
        """
        withdrawal = self._withdrawals.get(order.ref)
        if withdrawal is None:
            self._containerizer.carry_out(order)
        else:
            withdrawal.add_done_callback(lambda _: self._containerizer.carry_out(order))
