"""What a Triton datacenter costs, shown: metrics, a part of the state, and an alarm in the log."""

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
from shim.engine.triton.observer import EngineObserver
from shim.errors import ShimError
from shim.model.container import Container
from shim.telemetry.log import Metrics

log = logging.getLogger(__name__)


def steady_time() -> Callable[[], float]:
    """Seconds since the epoch, by a clock that nobody sets while it counts what is paid for."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


def publish_certificate(login: ClientLogin, metrics: Metrics) -> None:
    """From the first moment on: Triton may refuse it before anything else is known."""
    metrics.gauge(
        "triton_certificate_days_left",
        "Days until the client certificate expires",
        lambda: login.days_left,
    )


class BillingExporter(EngineObserver):
    """Hears what the engine shows from now on."""

    def __init__(
        self,
        engine: TritonEngine,
        meter: UsageMeter,
        known: Callable[[], Collection[str]],
        *,
        kept: float = 0.0,
        now: Callable[[], float] | None = None,
    ) -> None:
        """``known`` gives the names of the containers of all tasks; one of ours that is not among
        them for too long is an alarm. ``kept`` is for how many seconds an ended one is kept."""
        self._engine = engine
        self._meter = meter
        self._known = known
        # Operators who keep ended containers for a while know that they pay for them.
        self._patience = limits.ALONE_ALARM + kept
        self._now = now or steady_time()
        self._alone: frozenset[str] = frozenset()
        self._unpriced: frozenset[str] = frozenset()
        self._strange: dict[str, str] = {}
        """A container of each package whose memory is not known."""
        self._ask = asyncio.Event()
        self._shown: dict[tuple[str, int | None], dict[str, Any]] = {}
        engine.audience = self

    @property
    def bill(self) -> Bill:
        return self._meter.bill(self._now())

    async def run(self) -> None:
        """Until cancelled: one look for each package that a list shows and no look has, since
        only looks tell how much memory it has."""
        while True:
            await self._ask.wait()
            self._ask.clear()
            for package, name in self._strange.items():
                if package not in self._engine.packages:
                    with contextlib.suppress(ShimError):  # the next list asks again
                        await self._engine.inspect(name)

    def publish(self, metrics: Metrics) -> None:
        """All figures are read when somebody asks for them."""
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
            "Containers of ours that are paid for and that no task is known for",
            lambda: len(self._alone),
        )
        gauge("triton_provisioning", "Creates under way", lambda: engine.provisioning)

    def paid(self, name: str) -> Mapping[str, Any] | None:
        """What is paid for a container, whatever was asked: its package, and that one's MiB."""
        package = self._meter.package(name)
        if package is None:
            return None
        memory = self._engine.packages.get(package)
        # One for all of a package: pages keep what they say of each of 10,000 tasks.
        return self._shown.setdefault((package, memory), {"package": package, "mem": memory})

    def state(self) -> dict[str, Any]:
        """For ``/state``: money by package and framework."""
        bill = self.bill
        return {
            "certificate_days_left": round(self._engine.login.days_left, 1),
            "containers_without_task": sorted(self._alone),
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
        """For ``/state``: the account of each container, the ended ones at the end."""
        return map(self._task, self._meter.tasks(self._now()))

    def _task(self, account: TaskBill) -> dict[str, Any]:
        return {
            "container": account.name,
            "cost": account.cost,
            "framework_id": account.key.framework_id if account.key else None,
            "machine_seconds": account.seconds,
            "package": account.package,
            "task_id": account.key.task_id if account.key else None,
        }

    def listed(self, containers: Sequence[Container], took: float) -> None:
        now = self._now()
        self._meter.observe(containers, now, took)
        self._alarm(now)
        self._miss_prices()
        self._strange = {
            package: each.name
            for each in containers
            if (package := each.labels.get(LABEL_PACKAGE)) and package not in self._engine.packages
        }
        if self._strange:
            self._ask.set()

    def seen(self, container: Container) -> None:
        self._meter.saw(container, self._now())

    def removed(self, name: str) -> None:
        self._meter.removed(name, self._now())

    def _alarm(self, now: float) -> None:
        alone = frozenset(self._meter.without_task(self._known(), now, self._patience))
        for name in sorted(alone - self._alone):
            log.error("%s is paid for, and no task is known for it", name)
        self._alone = alone

    def _miss_prices(self) -> None:
        unpriced = self.bill.unpriced
        for package in sorted(unpriced - self._unpriced):
            log.warning("--triton_prices: no price of %s, which counts as free", package)
        self._unpriced |= unpriced
