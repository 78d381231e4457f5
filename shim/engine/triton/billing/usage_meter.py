"""What the containers of a datacenter cost: machine-seconds, and with prices, money. Pure.

A container is paid for from its creation to its removal, whether it runs or not, once it has been
provisioned: what fails before costs nothing.
What is known comes from lists, and from looks and removals between them: so a container that lives
between two lists is paid for as well. Sums begin with the process, and with the first list those of
containers that it finds: whoever needs them for longer adds up the metrics, as Prometheus does,
which takes a sum that begins anew for what was added since.
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
HOUR = 3600.0


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
    """Sums of everything since the first list."""

    machines: Mapping[str, int]
    """How many exist now, by package."""
    seconds: Mapping[str, float]
    """Machine-seconds, by package; never shrinks."""
    cost_per_hour: float
    """Of what exists now, as far as there are prices."""
    framework_cost: Mapping[str, float]
    """Never shrinks. What is of no task counts for the framework ``""``."""
    unpriced: frozenset[str]
    """Packages in use that have no price. Empty when there are no prices at all."""


@dataclass(slots=True)
class _Machine:
    """Times are milliseconds: sums of whole numbers never shrink by rounding."""

    key: TaskKey | None
    package: str
    since: int
    counted: int
    """Since when it is in the sums: later, if it was there before the first list."""
    met: int
    """When it was first seen."""
    until: float = math.inf
    """When it was gone."""
    alone_since: float | None = None
    """Since when no task has been known for it, in seconds."""


@dataclass(slots=True)
class _Sum:
    """Of one package and framework, so that a bill costs the same for 10,000 machines."""

    machines: int = 0
    since: int = 0
    """Added up over the machines."""
    ended: int = 0
    """Milliseconds of those that are gone."""

    def seconds(self, now: int) -> float:
        return (self.ended + self.machines * now - self.since) / 1000


class UsageMeter:
    """Fed with what the endpoint shows; asked by state and metrics.

    Times are seconds since the epoch.
    """

    def __init__(self, prices: Mapping[str, float] | None = None) -> None:
        self.prices = prices or {}
        self._machines: dict[str, _Machine] = {}
        self._ended: OrderedDict[str, _Machine] = OrderedDict()
        self._sums: dict[tuple[str, str], _Sum] = {}
        self._listed = False
        self._now = 0

    def observe(self, containers: Iterable[Container], now: float, took: float = 0.0) -> None:
        """A list shows that these of ours exist, and no others, or did ``took`` seconds ago."""
        moment = self._moment(now)
        asked = moment - int(took * 1000)
        listed = {each.name: each for each in containers}
        for name, machine in list(self._machines.items()):
            # What began since the list was asked for need not be in it.
            if name not in listed and machine.met <= asked:
                self._end(name, moment)
        for name, container in listed.items():
            # What ended since then may be in it.
            if name not in self._ended or self._ended[name].until < asked:
                self._begin(container, moment)
        self._listed = True

    def saw(self, container: Container, now: float) -> None:
        """A look at one of ours; a late one does not bring back what is gone."""
        if container.name not in self._ended:
            self._begin(container, self._moment(now))

    def removed(self, name: str, now: float) -> None:
        """It is gone."""
        moment = self._moment(now)
        if name in self._machines:
            self._end(name, moment)

    def package(self, name: str) -> str | None:
        """The package that the container runs in, or ran in."""
        found = self._machines.get(name) or self._ended.get(name)
        return None if found is None else found.package

    def without_task(
        self, known: Collection[str], now: float, patience: float = limits.ALONE_ALARM
    ) -> tuple[str, ...]:
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
            if machine.alone_since is not None and now - machine.alone_since >= patience
        )

    def bill(self, now: float) -> Bill:
        """The account as of ``now``."""
        moment = self._moment(now)
        machines, seconds, cost = (
            Counter[str](),
            defaultdict[str, float](float),
            defaultdict[str, float](float),
        )
        for (package, framework), total in self._sums.items():
            lasted = total.seconds(moment)
            machines[package] += total.machines
            seconds[package] += lasted
            if package in self.prices:
                cost[framework] += lasted / HOUR * self.prices[package]
        in_use = {package: count for package, count in machines.items() if count}
        return Bill(
            machines=machines,
            seconds=seconds,
            cost_per_hour=sum(self.prices.get(name, 0.0) * n for name, n in in_use.items()),
            framework_cost=cost,
            unpriced=frozenset(in_use) - frozenset(self.prices) if self.prices else frozenset(),
        )

    def tasks(self, now: float) -> Iterator[TaskBill]:
        """What exists now, then what ended last, newest first. May be gone through slowly."""
        moment = self._moment(now)
        for name, machine in [*self._machines.items(), *reversed(self._ended.items())]:
            yield self._account(name, machine, moment)

    def _moment(self, now: float) -> int:
        """In milliseconds; a clock that is set back stands still."""
        self._now = max(self._now, int(now * 1000))
        return self._now

    def _begin(self, container: Container, moment: int) -> None:
        name = container.name
        if name in self._machines or container.phase is Phase.PROVISIONING:
            return
        since = min(int(container.created * 1000), moment) if container.created else moment
        counted = since if self._listed else moment
        if (gone := self._ended.pop(name, None)) is not None:
            # It was there all the time.
            since, counted = gone.since, int(gone.until)
        package = container.labels.get(LABEL_PACKAGE, "unknown")
        machine = _Machine(container.task_key, package, since, counted, met=moment)
        self._machines[name] = machine
        total = self._sum(machine)
        total.machines += 1
        total.since += machine.counted

    def _end(self, name: str, moment: int) -> None:
        machine = self._machines.pop(name)
        machine.until = moment
        total = self._sum(machine)
        total.machines -= 1
        total.since -= machine.counted
        total.ended += moment - machine.counted
        self._ended[name] = machine
        if len(self._ended) > limits.BILLS_KEPT:
            self._ended.popitem(last=False)

    def _sum(self, machine: _Machine) -> _Sum:
        framework = machine.key.framework_id if machine.key else ""
        return self._sums.setdefault((machine.package, framework), _Sum())

    def _account(self, name: str, machine: _Machine, moment: int) -> TaskBill:
        seconds = (min(moment, machine.until) - machine.since) / 1000
        price = self.prices.get(machine.package)
        cost = None if price is None else seconds / HOUR * price
        return TaskBill(machine.key, name, machine.package, seconds, cost)
