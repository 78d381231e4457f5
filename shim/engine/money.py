"""What the containers of a datacenter cost: machine-seconds, and with prices, money. Pure.

A container is paid for from its creation to its removal, whether it runs or not. What is known
comes from lists alone, so an end is as exact as lists are frequent, and sums begin with the
process: whoever needs them for longer keeps the metrics.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shim import limits
from shim.errors import ConfigError
from shim.model.container import Container, Phase
from shim.model.ids import TaskKey

LABEL_PACKAGE = "com.joyent.package"
HOUR = 3600.0


def parse_prices(text: str) -> dict[str, float]:
    """``{"package": price per hour}``. ConfigError names what is wrong."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--triton_prices: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError("--triton_prices: not an object of package names and prices per hour")
    for package, price in document.items():
        number = isinstance(price, int | float) and not isinstance(price, bool)
        if not number or not 0 <= price < float("inf"):
            raise ConfigError(f"--triton_prices: {package!r}: {price!r} is not a price per hour")
    return {package: float(price) for package, price in document.items()}


def load_prices(path: Path) -> dict[str, float]:
    """The prices in a file. ConfigError when it cannot be read or is none."""
    try:
        return parse_prices(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--triton_prices={path}: {error}") from None


@dataclass(frozen=True, slots=True)
class TaskBill:
    """One container's account, so far or to its end."""

    key: TaskKey | None
    """None: ours, but of no task."""
    name: str
    package: str
    seconds: float
    cost: float | None
    """None: its package has no price."""


@dataclass(frozen=True, slots=True)
class Bill:
    """Everything since the process began to look."""

    tasks: tuple[TaskBill, ...]
    """What exists now, then what ended last, newest first."""
    machines: Mapping[str, int]
    """How many exist now, by package."""
    seconds: Mapping[str, float]
    """Machine-seconds, by package; never shrinks."""
    cost_per_hour: float
    """Of what exists now, as far as there are prices."""
    framework_cost: Mapping[str, float]
    unpriced: frozenset[str]
    """Packages in use that have no price. Empty when there are no prices at all."""


@dataclass(slots=True)
class _Machine:
    key: TaskKey | None
    package: str
    since: float
    alone_since: float | None = None
    """Since when no task has been known for it."""


@dataclass(slots=True)
class Meter:
    """Fed with every list; asked by state and metrics. Times are seconds since the epoch."""

    prices: Mapping[str, float] = field(default_factory=dict)
    _machines: dict[str, _Machine] = field(default_factory=dict)
    _ended: OrderedDict[str, TaskBill] = field(default_factory=OrderedDict)
    _seconds: dict[str, float] = field(default_factory=dict)
    _framework_cost: dict[str, float] = field(default_factory=dict)

    def observe(self, containers: Iterable[Container], now: float) -> None:
        """A list shows that these of ours exist, and no others."""
        present = {each.name: each for each in containers if each.phase is not Phase.PROVISIONING}
        for name in [name for name in self._machines if name not in present]:
            self._end(name, self._machines.pop(name), now)
        for name, container in present.items():
            if name not in self._machines:
                self._machines[name] = _Machine(
                    container.task_key,
                    container.labels.get(LABEL_PACKAGE, "unknown"),
                    min(container.created or now, now),
                )

    def without_task(self, known: Collection[str], now: float) -> tuple[str, ...]:
        """Names of containers that no task has been known for, for too long: money for nothing.

        ``known`` are the names of the containers of all tasks.
        """
        for name, machine in self._machines.items():
            if name in known:
                machine.alone_since = None
            elif machine.alone_since is None:
                machine.alone_since = now
        return tuple(
            name
            for name, machine in self._machines.items()
            if machine.alone_since is not None and now - machine.alone_since >= limits.ALONE_ALARM
        )

    def bill(self, now: float) -> Bill:
        """The account as of ``now``."""
        running = [self._account(name, each, now) for name, each in self._machines.items()]
        machines: dict[str, int] = {}
        seconds, framework_cost = dict(self._seconds), dict(self._framework_cost)
        for account in running:
            machines[account.package] = machines.get(account.package, 0) + 1
            _add(seconds, framework_cost, account)
        return Bill(
            tasks=(*running, *reversed(self._ended.values())),
            machines=machines,
            seconds=seconds,
            cost_per_hour=sum(self.prices.get(name, 0.0) * n for name, n in machines.items()),
            framework_cost=framework_cost,
            unpriced=frozenset(machines) - frozenset(self.prices) if self.prices else frozenset(),
        )

    def _end(self, name: str, machine: _Machine, now: float) -> None:
        account = self._account(name, machine, now)
        _add(self._seconds, self._framework_cost, account)
        self._ended[name] = account
        if len(self._ended) > limits.BILLS_KEPT:
            self._ended.popitem(last=False)

    def _account(self, name: str, machine: _Machine, now: float) -> TaskBill:
        seconds = max(0.0, now - machine.since)
        price = self.prices.get(machine.package)
        cost = None if price is None else seconds / HOUR * price
        return TaskBill(machine.key, name, machine.package, seconds, cost)


def _add(seconds: dict[str, float], cost: dict[str, float], account: TaskBill) -> None:
    seconds[account.package] = seconds.get(account.package, 0.0) + account.seconds
    if account.cost is not None:
        framework = account.key.framework_id if account.key else ""
        cost[framework] = cost.get(framework, 0.0) + account.cost
