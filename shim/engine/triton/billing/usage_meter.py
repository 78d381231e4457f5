"""Counts what the containers of a datacenter cost: machine-seconds and, with prices, money. Pure.

A container is paid for from its creation to its removal, whether it runs or not, once it has been
provisioned. A container whose provisioning fails costs nothing.

The meter is fed by lists, and by inspects and removals between them, so a container that lives
between two lists is counted too. The sums of a process begin with its start, and those of the
containers that its first list finds begin with that list. Prometheus adds the sums of several
processes up: it takes a counter that shrinks for one that was reset.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from shim import limits
from shim.model.container import Container, Phase
from shim.model.ids import TaskKey

LABEL_PACKAGE = "com.joyent.package"
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class TaskBill:
    """One container's machine-seconds and cost, until now or until its removal."""

    key: TaskKey | None
    """None: the container belongs to no task."""
    name: str
    package: str
    seconds: float
    cost: float | None
    """None: the package has no price."""


@dataclass(frozen=True, slots=True)
class Bill:
    """The sums since the first list."""

    machines: Mapping[str, int]
    """Number of machines that exist now, by package."""
    seconds: Mapping[str, float]
    """Machine-seconds, by package; never shrinks."""
    cost_per_hour: float
    """Of the machines that exist now, as far as their packages have prices."""
    framework_cost: Mapping[str, float]
    """By framework; never shrinks. The framework of a container without task is ``""``."""
    unpriced: frozenset[str]
    """Packages in use without price. Empty when there are no prices at all."""


@dataclass(slots=True)
class _Machine:
    """Times are in milliseconds: sums of whole numbers never shrink by rounding."""

    key: TaskKey | None
    package: str
    created_ms: int
    counted_from_ms: int
    """Where its share of the sums begins: at the first list, if it existed before that."""
    first_seen_ms: int
    removed_ms: float = math.inf
    without_task_since: float | None = None
    """In seconds; None while a task is known for it."""


@dataclass(slots=True)
class _Sum:
    """Sum of one package and framework, so that a bill takes no time per machine."""

    machines: int = 0
    counted_from_ms: int = 0
    """Added up over the machines that exist."""
    ended_ms: int = 0
    """Machine-milliseconds of the machines that were removed."""

    def seconds(self, now_ms: int) -> float:
        return (self.ended_ms + self.machines * now_ms - self.counted_from_ms) / 1000


class UsageMeter:
    """Times of its methods are in seconds since the epoch."""

    def __init__(self, prices: Mapping[str, float] | None = None) -> None:
        self.prices = prices or {}
        self._machines: dict[str, _Machine] = {}
        self._ended: OrderedDict[str, _Machine] = OrderedDict()
        self._sums: dict[tuple[str, str], _Sum] = {}
        self._has_list = False
        self._now_ms = 0

    def listed(self, containers: Iterable[Container], now: float, took: float = 0.0) -> None:
        """All of the agent's containers, from a list that took ``took`` seconds."""
        now_ms = self._to_ms(now)
        asked_ms = now_ms - int(took * 1000)
        listed = {each.name: each for each in containers}
        for name, machine in list(self._machines.items()):
            # A machine that appeared after the list was asked for need not be in it.
            if name not in listed and machine.first_seen_ms <= asked_ms:
                self._end(name, now_ms)
        for name, container in listed.items():
            # A machine that was removed after that may still be in it.
            if name not in self._ended or self._ended[name].removed_ms < asked_ms:
                self._begin(container, now_ms)
        self._has_list = True

    def inspected(self, container: Container, now: float) -> None:
        """``container`` exists. An inspect that arrives after the removal changes nothing."""
        if container.name not in self._ended:
            self._begin(container, self._to_ms(now))

    def removed(self, name: str, now: float) -> None:
        """The container does not exist any more."""
        now_ms = self._to_ms(now)
        if name in self._machines:
            self._end(name, now_ms)

    def package(self, name: str) -> str | None:
        """The package of a container, also of a removed one; None for an unknown container."""
        found = self._machines.get(name) or self._ended.get(name)
        return None if found is None else found.package

    def without_task(
        self, task_containers: Collection[str], now: float, after: float = limits.WITHOUT_TASK_ALARM
    ) -> tuple[str, ...]:
        """Names of containers that have belonged to no task for ``after`` seconds or more.

        ``task_containers`` are the names of the containers of all tasks.
        """
        for name, machine in self._machines.items():
            if name in task_containers:
                machine.without_task_since = None
            elif machine.without_task_since is None:
                machine.without_task_since = now
        return tuple(
            name
            for name, machine in self._machines.items()
            if machine.without_task_since is not None and now - machine.without_task_since >= after
        )

    def bill(self, now: float) -> Bill:
        """The sums as of ``now``."""
        now_ms = self._to_ms(now)
        machines, seconds, cost = (
            Counter[str](),
            defaultdict[str, float](float),
            defaultdict[str, float](float),
        )
        for (package, framework), total in self._sums.items():
            lasted = total.seconds(now_ms)
            machines[package] += total.machines
            seconds[package] += lasted
            if package in self.prices:
                cost[framework] += lasted / SECONDS_PER_HOUR * self.prices[package]
        in_use = {package: count for package, count in machines.items() if count}
        return Bill(
            machines=machines,
            seconds=seconds,
            cost_per_hour=sum(self.prices.get(name, 0.0) * n for name, n in in_use.items()),
            framework_cost=cost,
            unpriced=frozenset(in_use) - frozenset(self.prices) if self.prices else frozenset(),
        )

    def tasks(self, now: float) -> Iterator[TaskBill]:
        """Machines that exist, then removed ones, newest first. The meter may change meanwhile."""
        now_ms = self._to_ms(now)
        for name, machine in [*self._machines.items(), *reversed(self._ended.items())]:
            yield self._task_bill(name, machine, now_ms)

    def task(self, name: str, now: float) -> TaskBill | None:
        """The bill of one machine that exists or was removed lately."""
        machine = self._machines.get(name) or self._ended.get(name)
        return None if machine is None else self._task_bill(name, machine, self._to_ms(now))

    def _to_ms(self, now: float) -> int:
        """In milliseconds; a clock that is set back stands still."""
        self._now_ms = max(self._now_ms, int(now * 1000))
        return self._now_ms

    def _begin(self, container: Container, now_ms: int) -> None:
        name = container.name
        if name in self._machines or container.phase is Phase.PROVISIONING:
            return
        created = min(int(container.created * 1000), now_ms) if container.created else now_ms
        counted_from = created if self._has_list else now_ms
        if (ended := self._ended.pop(name, None)) is not None:
            # It was never removed, only missing from a list.
            created, counted_from = ended.created_ms, int(ended.removed_ms)
        package = container.labels.get(LABEL_PACKAGE, "unknown")
        machine = _Machine(container.task_key, package, created, counted_from, first_seen_ms=now_ms)
        self._machines[name] = machine
        total = self._sum(machine)
        total.machines += 1
        total.counted_from_ms += machine.counted_from_ms

    def _end(self, name: str, now_ms: int) -> None:
        machine = self._machines.pop(name)
        machine.removed_ms = now_ms
        total = self._sum(machine)
        total.machines -= 1
        total.counted_from_ms -= machine.counted_from_ms
        total.ended_ms += now_ms - machine.counted_from_ms
        self._ended[name] = machine
        if len(self._ended) > limits.BILLS_KEPT:
            self._ended.popitem(last=False)

    def _sum(self, machine: _Machine) -> _Sum:
        framework = machine.key.framework_id if machine.key else ""
        return self._sums.setdefault((machine.package, framework), _Sum())

    def _task_bill(self, name: str, machine: _Machine, now_ms: int) -> TaskBill:
        seconds = (min(now_ms, machine.removed_ms) - machine.created_ms) / 1000
        price = self.prices.get(machine.package)
        cost = None if price is None else seconds / SECONDS_PER_HOUR * price
        return TaskBill(machine.key, name, machine.package, seconds, cost)
