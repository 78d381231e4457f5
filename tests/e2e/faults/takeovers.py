"""Two agents on one journal, of which the leading one is hurt again and again, under load.

===========  ==========================================================================
``kill``     SIGKILL, and down until the other leads
``restart``  SIGKILL, and started again at once: one of the two leads
``term``     SIGTERM: the lock is given back
``stop``     SIGSTOP until the other leads, then SIGCONT: the old leader must not act
``cut``      no way to ZooKeeper until the other leads, then a way again
``late``     SIGSTOP for less than a session, right before a SIGTERM
===========  ==========================================================================

Between two of them the engine may lose answers or be away, and the ensemble may lose its quorum.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp

from tests.e2e.agents import AgentProcess
from tests.e2e.conftest import System
from tests.e2e.faults.load import Load
from tests.e2e.faults.proxy import DockerProxy
from tests.support.wait import until
from tests.support.zookeeper import Ensemble
from tests.wire.conftest import TcpProxy

SESSION = 2.0


class Machine:
    """An agent and its roads to ZooKeeper. A supervisor starts it again when it has ended."""

    def __init__(self, system: System, directory: Path, ensemble: Ensemble, docker: str) -> None:
        self._ports = ensemble.ports
        self._system = system
        self._directory = directory
        self._docker = docker
        self._proxies = [TcpProxy(port) for port in ensemble.ports]
        self._supervising: asyncio.Task[None] | None = None
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.agent: AgentProcess

    async def start(self, *flags: str) -> None:
        for proxy in self._proxies:
            await proxy.open()
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in self._proxies)
        self.agent = AgentProcess(
            self._system.master,
            self._directory,
            self._system.shim_id,
            f"--journal=zk://user:s3cret@{hosts}/mesos/shim",
            f"--zk_session_timeout={SESSION:g}secs",
            "--hostname=localhost",
            *flags,
            DOCKER_HOST=self._docker,
        )
        self._system.agents.append(self.agent)
        await self.agent.start()
        self._supervising = asyncio.create_task(self._supervise())

    async def _supervise(self) -> None:
        while True:
            await self.agent.exit_code(3600)
            await self.may_start.wait()
            await self.agent.start()

    async def end(self) -> None:
        if self._supervising is not None:
            self._supervising.cancel()
            await asyncio.gather(self._supervising, return_exceptions=True)
        await self.agent.kill()
        for proxy in self._proxies:
            await proxy.shut()

    async def cut(self) -> None:
        for proxy in self._proxies:
            await proxy.shut()

    async def heal(self) -> None:
        for proxy in self._proxies:
            await proxy.open()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.agent.pid, number)

    async def page(self, path: str) -> int:
        """The status; 0 while nothing answers."""
        url = f"http://127.0.0.1:{self.agent.port}{path}"
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def leads(self) -> bool:
        return await self.page("/leader") == 200

    async def stands_by(self) -> bool:
        return await self.page("/leader") == 503 and await self.page("/health") == 200


class Pair:
    """Two machines, and what is done to the one that leads."""

    def __init__(self, machines: Sequence[Machine], chance: random.Random) -> None:
        self.machines = machines
        self.chance = chance
        self.done: list[str] = []
        self.faults: dict[str, Callable[[Machine, Machine], Awaitable[None]]] = {
            "kill": self._kill,
            "restart": self._restart,
            "term": self._term,
            "stop": self._stop,
            "cut": self._cut,
            "late": self._late,
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
        leader, standby = await self.roles()
        self.done.append(name)
        await self.faults[name](leader, standby)

        async def one_leads() -> bool:
            return await standby.leads() or await leader.leads()

        await until(one_leads, self.logs)

    async def _kill(self, leader: Machine, standby: Machine) -> None:
        leader.may_start.clear()
        leader.signal(signal.SIGKILL)
        await until(standby.leads, self.logs)
        leader.may_start.set()

    async def _restart(self, leader: Machine, standby: Machine) -> None:
        """An earlier process of the same machine has ended: the lock is free at once."""
        leader.signal(signal.SIGKILL)

    async def _term(self, leader: Machine, standby: Machine) -> None:
        leader.signal(signal.SIGTERM)

    async def _stop(self, leader: Machine, standby: Machine) -> None:
        leader.signal(signal.SIGSTOP)
        try:
            await until(standby.leads, self.logs)
            await asyncio.sleep(self.chance.choice((0.0, 0.5, SESSION)))
        finally:
            leader.signal(signal.SIGCONT)

    async def _cut(self, leader: Machine, standby: Machine) -> None:
        await leader.cut()
        try:
            await until(standby.leads, self.logs)
            await asyncio.sleep(self.chance.choice((0.0, 0.5, SESSION)))
        finally:
            await leader.heal()

    async def _late(self, leader: Machine, standby: Machine) -> None:
        leader.signal(signal.SIGSTOP)
        await asyncio.sleep(SESSION * self.chance.uniform(0.2, 0.9))
        leader.signal(signal.SIGCONT)
        leader.signal(signal.SIGTERM)


async def disturb(proxy: DockerProxy, ensemble: Ensemble, chance: random.Random) -> None:
    """Sometimes the engine or the ensemble is hurt as well."""
    match chance.choice(("", "", "lose", "away", "quorum")):
        case "lose":
            proxy.lose.update(dict.fromkeys(("create", "start", "stop", "remove"), 1))
        case "away":
            await proxy.away()
            await asyncio.sleep(1.0)
            await proxy.back()
        case "quorum":
            hurt = range(len(ensemble.ports) // 2 + 1)
            for number in hurt:
                ensemble.kill(number)
            await asyncio.sleep(chance.choice((0.5, 1.5 * SESSION)))
            for number in hurt:
                await asyncio.to_thread(ensemble.start, number)


async def take_overs(
    system: System,
    load: Load,
    pair: Pair,
    ensemble: Ensemble,
    proxy: DockerProxy,
    names: Sequence[str],
) -> None:
    """One after the other; then everything comes to its end, and the diaries are read."""
    for number, name in enumerate(names):
        try:
            await pair.take_over(name)
            await load.turnover(1)
        except AssertionError as error:
            raise AssertionError(f"after {number} take-overs: {error}\n{pair.logs()}") from None
        if number % 3 == 2:
            await disturb(proxy, ensemble, pair.chance)
    proxy.lose.clear()
    await pair.roles()
    await load.drain()
    await system.no_containers()
    complaints = load.complaints()
    assert not complaints, "\n".join(complaints)
