"""Shows what a Triton datacenter costs: metrics, a part of ``/state``, and an alarm in the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from shim import limits
from shim.engine.triton import TritonEngine
from shim.engine.triton.billing.usage_meter import LABEL_PACKAGE, Bill, TaskBill, UsageMeter
from shim.engine.triton.login import ClientLogin
from shim.errors import ShimError
from shim.model.container import Container
from shim.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


def publish_certificate(login: ClientLogin, metrics: Metrics) -> None:
    """At the agent's start, before the first call: Triton may refuse the certificate in it."""
    metrics.gauge(
        "triton_certificate_days_left",
        "Days until the client certificate expires",
        lambda: login.days_left,
    )


class BillingExporter:
    """An :class:`~shim.engine.triton.engine.EngineObserver` that feeds a meter and shows it.

    The caller subscribes it to the engine.
    """

    def __init__(
        self,
        engine: TritonEngine,
        meter: UsageMeter,
        task_containers: Callable[[], Collection[str]],
        *,
        remove_delay: float = 0.0,
        now: Callable[[], float] | None = None,
    ) -> None:
        """``task_containers`` gives the names of the containers of all tasks.

        Another container of this agent's is an alarm after a while. Operators who keep ended
        containers for ``remove_delay`` seconds expect to pay for them, so the alarm comes later.
        """
        self._engine = engine
        self._meter = meter
        self._task_containers = task_containers
        self._alarm_after = limits.WITHOUT_TASK_ALARM + remove_delay
        self._now = now or _steady_time()
        self._without_task: frozenset[str] = frozenset()
        self._unpriced: frozenset[str] = frozenset()
        self._inspect_next: dict[str, str] = {}
        """A container of each package whose memory is unknown."""
        self._inspect_wanted = asyncio.Event()
        self._shown: dict[tuple[str, int | None], dict[str, Any]] = {}

    @property
    def bill(self) -> Bill:
        return self._meter.bill(self._now())

    async def run(self) -> None:
        """Until cancelled: inspect one container of each listed package of unknown memory.

        Only an inspect shows the memory of a package, and a restarted agent inspects no container
        that keeps running.
        """
        while True:
            await self._inspect_wanted.wait()
            self._inspect_wanted.clear()
            for package, name in self._inspect_next.items():
                if package not in self._engine.packages:
                    with contextlib.suppress(ShimError):  # the next list asks again
                        await self._engine.inspect(name)

    def publish(self, metrics: Metrics) -> None:
        """Register the metrics, which are computed whenever they are read."""
        gauge, engine = metrics.gauge, self._engine
        package, framework = "package", "framework"
        metrics.counters(
            "triton_machine_seconds",
            "Machine-seconds from creation to removal, since the start",
            package,
            lambda: self.bill.seconds,
        )
        metrics.gauges("triton_machines", "Machines", package, lambda: self.bill.machines)
        gauge("triton_cost_per_hour", "Price of all machines", lambda: self.bill.cost_per_hour)
        metrics.counters(
            "triton_cost", "Cost since the start", framework, lambda: self.bill.framework_cost
        )
        gauge(
            "triton_packages_without_price",
            "Packages in use that --triton_prices does not name, if it names any",
            lambda: len(self.bill.unpriced),
        )
        gauge(
            "triton_containers_without_task",
            "Containers of this agent that are paid for and belong to no known task",
            lambda: len(self._without_task),
        )
        gauge("triton_provisioning", "Creates under way", lambda: engine.provisioning)

    def paid(self, name: str) -> Mapping[str, Any] | None:
        """The package that is paid for a container, and its MiB; None for an unknown container."""
        package = self._meter.package(name)
        if package is None:
            return None
        memory = self._engine.packages.get(package)
        # One object per package: pages keep a reference to it for each of 10,000 tasks.
        return self._shown.setdefault((package, memory), {"package": package, "mem": memory})

    def state(self) -> dict[str, Any]:
        """For ``/state``: machine-seconds and money by package and framework."""
        bill = self.bill
        return {
            "certificate_days_left": round(self._engine.login.days_left, 1),
            "containers_without_task": sorted(self._without_task),
            "cost_per_hour": bill.cost_per_hour,
            "frameworks": dict(bill.framework_cost),
            "packages": {
                name: {
                    "machine_seconds": seconds,
                    "machines": bill.machines.get(name, 0),
                    "mem": self._engine.packages.get(name),
                    "price_per_hour": self._meter.prices.get(name),
                }
                for name, seconds in bill.seconds.items()
            },
        }

    def tasks(self) -> Iterator[dict[str, Any]]:
        """For ``/state``: the bill of each container, ended containers last."""
        return map(_task_json, self._meter.tasks(self._now()))

    def bill_of(self, name: str) -> dict[str, Any] | None:
        """For the page of one task: the bill of its container, also after its removal."""
        bill = self._meter.task(name, self._now())
        return None if bill is None else _task_json(bill)

    # --- EngineObserver

    def listed(self, containers: Sequence[Container], took: float) -> None:
        now = self._now()
        self._meter.listed(containers, now, took)
        self._log_without_task(now)
        self._log_unpriced()
        self._inspect_next = {
            package: each.name
            for each in containers
            if (package := each.labels.get(LABEL_PACKAGE)) and package not in self._engine.packages
        }
        if self._inspect_next:
            self._inspect_wanted.set()

    def inspected(self, container: Container) -> None:
        self._meter.inspected(container, self._now())

    def removed(self, name: str) -> None:
        self._meter.removed(name, self._now())

    def _log_without_task(self, now: float) -> None:
        found = self._meter.without_task(self._task_containers(), now, self._alarm_after)
        without_task = frozenset(found)
        for name in sorted(without_task - self._without_task):
            log.error("container %s belongs to no task and is still charged", name)
        self._without_task = without_task

    def _log_unpriced(self) -> None:
        unpriced = self.bill.unpriced
        for package in sorted(unpriced - self._unpriced):
            log.warning("--triton_prices: no price of %s, which counts as free", package)
        self._unpriced |= unpriced


def _steady_time() -> Callable[[], float]:
    """Seconds since the epoch, by a clock that is not set while machine-seconds are counted."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


def _task_json(bill: TaskBill) -> dict[str, Any]:
    return {
        "container": bill.name,
        "cost": bill.cost,
        "framework_id": bill.key.framework_id if bill.key else None,
        "machine_seconds": bill.seconds,
        "package": bill.package,
        "task_id": bill.key.task_id if bill.key else None,
    }
