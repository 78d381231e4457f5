"""Two agents on one journal, of which the leading one is hurt again and again, under load.

===========  ==========================================================================
``kill``     SIGKILL, and down until the other leads
``restart``  SIGKILL, and started again at once: one of the two leads
``term``     SIGTERM: the lock is given back
``stop``     SIGSTOP until the other leads, at times for a minute, then SIGCONT
``late``     SIGSTOP for less than a session, right before a SIGTERM
``cut``      no way to ZooKeeper until the other leads, then a way again
``master``   no way to the master nor from it, then SIGKILL or SIGTERM; what was sent arrives later
``engine``   the engine is away or hangs, then SIGKILL or SIGTERM
``quorum``   the ensemble has no quorum, sometimes for a minute, and the leader gets SIGKILL
===========  ==========================================================================

Each of them ends with a new epoch. Between two of them the engine may lose answers or be away, the
master may be out of reach, and the ensemble may lose its quorum.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from tests.e2e.conftest import System
from tests.e2e.faults.load import Load
from tests.e2e.faults.machines import Machine
from tests.e2e.faults.masters import Gate
from tests.support.wait import until
from tests.support.zookeeper import Ensemble

SESSION = 4.0
"""Seconds. On a busy machine an agent may get no CPU for two."""
MINUTE = 60.0
LONG_OUTAGES = 8
"""One outage of so many lasts for a minute."""


class Outages:
    """Takes the quorum from an ensemble that pairs share: one outage at a time."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._ensemble = ensemble
        self._lock = asyncio.Lock()
        self._numbers = itertools.count()
        self.lasted: list[float] = []
        """Seconds of each."""

    @asynccontextmanager
    async def without_quorum(self, chance: random.Random) -> AsyncIterator[None]:
        """For a while, then the body, then the ensemble is whole again."""
        async with self._lock:
            hurt = range(len(self._ensemble.ports) // 2 + 1)
            killed = chance.random() < 0.5
            for number in hurt:
                if killed:
                    self._ensemble.kill(number)
                else:
                    self._ensemble.signal(number, signal.SIGSTOP)
            short = chance.choice((0.5, 1.5 * SESSION))
            seconds = short if next(self._numbers) % LONG_OUTAGES else MINUTE
            self.lasted.append(seconds)
            try:
                await asyncio.sleep(seconds)
                yield
            finally:
                for number in hurt:
                    if killed:
                        await asyncio.to_thread(self._ensemble.start, number)
                    else:
                        self._ensemble.signal(number, signal.SIGCONT)


class Pair:
    """Two machines, and what is done to the one that leads."""

    def __init__(
        self,
        machines: Sequence[Machine],
        master: Gate,
        outages: Outages,
        chance: random.Random,
    ) -> None:
        self.machines = machines
        self._master = master
        self._outages = outages
        self._chance = chance
        self.done: list[str] = []
        self.faults: dict[str, Callable[[Machine, Machine], Awaitable[None]]] = {
            "kill": self._kill,
            "restart": self._restart,
            "term": self._term,
            "stop": self._stop,
            "late": self._late,
            "cut": self._cut,
            "master": self._no_master,
            "engine": self._no_engine,
            "quorum": self._no_quorum,
        }

    def logs(self) -> str:
        logs = [each.agent.log[-4000:] for each in self.machines]
        return f"{self.done[-3:]}\n" + "\n--- the other machine\n".join(logs)

    async def roles(self) -> tuple[Machine, Machine]:
        """The leader and the standby, once both are there."""
        found: list[Machine] = []

        async def both() -> bool:
            found.clear()
            for machine, other in (self.machines, tuple(reversed(self.machines))):
                if await machine.leads() and await other.stands_by():
                    found.extend((machine, other))
            return bool(found)

        await until(both, self.logs)
        return found[0], found[1]

    async def take_over(self, name: str) -> None:
        """Hurt the leader, and wait for a new epoch and for the end of the hurt process."""
        leader, standby = await self.roles()
        pid, epoch = leader.agent.pid, await leader.epoch()
        self.done.append(name)
        await self.faults[name](leader, standby)
        await leader.ended(pid)

        async def led_anew() -> bool:
            return max(await standby.epoch(), await leader.epoch()) > epoch

        await until(led_anew, self.logs)

    async def _hand_over(self, leader: Machine, standby: Machine, how: signal.Signals) -> None:
        """The leader's machine is down until the other one leads."""
        leader.may_start.clear()
        try:
            leader.signal(how)
            await until(standby.leads, self.logs)
        finally:
            leader.may_start.set()

    async def _kill(self, leader: Machine, standby: Machine) -> None:
        await self._hand_over(leader, standby, signal.SIGKILL)

    async def _restart(self, leader: Machine, standby: Machine) -> None:
        """An earlier process of the same machine has ended: the lock is free at once."""
        leader.signal(signal.SIGKILL)

    async def _term(self, leader: Machine, standby: Machine) -> None:
        leader.signal(signal.SIGTERM)

    async def _stop(self, leader: Machine, standby: Machine) -> None:
        leader.signal(signal.SIGSTOP)
        try:
            await until(standby.leads, self.logs)
            await asyncio.sleep(self._chance.choice((0.0, 0.0, 0.5, 0.5, SESSION, MINUTE)))
        finally:
            leader.signal(signal.SIGCONT)

    async def _late(self, leader: Machine, standby: Machine) -> None:
        leader.signal(signal.SIGSTOP)
        await asyncio.sleep(SESSION * self._chance.uniform(0.2, 0.9))
        leader.signal(signal.SIGCONT)
        leader.signal(signal.SIGTERM)

    async def _cut(self, leader: Machine, standby: Machine) -> None:
        await leader.cut()
        try:
            await until(standby.leads, self.logs)
            await asyncio.sleep(self._chance.choice((0.0, 0.5, SESSION)))
        finally:
            await leader.heal()

    async def _no_master(self, leader: Machine, standby: Machine) -> None:
        leader.gate.close()
        self._master.close()
        try:
            await asyncio.sleep(self._chance.choice((0.2, 1.0, SESSION)))
            await self._hand_over(leader, standby, self._kill_or_term())
        finally:
            self._master.open()
            leader.gate.open()

    async def _no_engine(self, leader: Machine, standby: Machine) -> None:
        hangs = self._chance.random() < 0.5
        if hangs:
            leader.engine.mode = "hanging"
        else:
            await leader.engine.away()
        try:
            await asyncio.sleep(self._chance.choice((0.2, 1.0, SESSION)))
            await self._hand_over(leader, standby, self._kill_or_term())
        finally:
            leader.engine.mode = "open"
            if not hangs:
                await leader.engine.back()

    async def _no_quorum(self, leader: Machine, standby: Machine) -> None:
        async with self._outages.without_quorum(self._chance):
            leader.signal(signal.SIGKILL)

    def _kill_or_term(self) -> signal.Signals:
        return self._chance.choice((signal.SIGKILL, signal.SIGTERM))

    async def disturb(self) -> None:
        """Sometimes the engine, the road to the master or the ensemble is hurt as well."""
        match self._chance.choice(("", "lose", "away", "hang", "master", "quorum")):
            case "lose":
                for machine in self.machines:
                    lost = dict.fromkeys(("create", "start", "stop", "remove"), 1)
                    machine.engine.lose.update(lost)
            case "away":
                for machine in self.machines:
                    await machine.engine.away()
                await asyncio.sleep(1.0)
                for machine in self.machines:
                    await machine.engine.back()
            case "hang":
                for machine in self.machines:
                    machine.engine.mode = "hanging"
                await asyncio.sleep(1.0)
                for machine in self.machines:
                    machine.engine.mode = "open"
            case "master":
                self._master.close()
                await asyncio.sleep(self._chance.choice((0.5, SESSION)))
                self._master.open()
            case "quorum":
                async with self._outages.without_quorum(self._chance):
                    pass


async def take_overs(system: System, load: Load, pair: Pair, names: Sequence[str]) -> None:
    """One after the other; then everything comes to its end, and the diaries are read."""
    for number, name in enumerate(names):
        try:
            await pair.take_over(name)
            await load.turnover(1)
        except AssertionError as error:
            raise AssertionError(f"after {number} take-overs: {error}\n{pair.logs()}") from None
        if number % 3 == 2:
            await pair.disturb()
    for machine in pair.machines:
        machine.engine.lose.clear()
    await pair.roles()
    await load.drain()
    await system.no_containers()
    complaints = load.complaints()
    assert not complaints, "\n".join(complaints)
