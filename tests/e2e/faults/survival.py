"""Lives of one agent, each ended by SIGKILL at a named point, under load all the while."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterable
from typing import Protocol

from tests.e2e.agents import AgentProcess
from tests.e2e.conftest import System
from tests.e2e.faults.crashing import ALL_POINTS, TOLD_ALL, VARIABLE, Crash

REACHED = 120.0
"""Seconds within which every point is reached under load, on a busy machine as well."""


class MortalAgent(AgentProcess):
    """Started through ``crashing``."""

    program = ("tests.e2e.faults.crashing",)

    async def live(self, crash: Crash) -> None:
        """From start to its end at the point."""
        self.env[VARIABLE] = str(crash)
        await self.start()
        code = await self.exit_code(REACHED)
        assert code == -signal.SIGKILL, f"ended with {code} instead of crashing at {crash}"
        del self.env[VARIABLE]


class Work(Protocol):
    """What goes on while the agent is killed again and again."""

    def heard(self) -> object:
        """What was said of what has not ended, for people."""

    async def drain(self) -> None:
        """Bring everything to its end."""

    def complaints(self) -> list[str]:
        """Everything that was not as it must be. Call it after :meth:`drain`."""


async def survive(system: System, load: Work, crashes: Iterable[Crash]) -> None:
    """One life for each crash, then one that has time to bring everything to its end."""
    (agent,) = system.agents
    assert isinstance(agent, MortalAgent)
    for crash in crashes:
        try:
            await agent.live(crash)
        except TimeoutError:
            os.kill(agent.pid, signal.SIGUSR2)
            text = f"{crash} was not reached in {REACHED:g} s: {load.heard()}"
            await agent.logged(TOLD_ALL)
            text += f"\n{agent.log[-20_000:]}"
            raise AssertionError(text) from None
    await agent.start()
    await load.drain()
    await system.no_containers()
    complaints = load.complaints()
    assert not complaints, "\n".join(complaints)


def plan(point: str, moment: str, times: int, chance: random.Random) -> list[Crash]:
    """``times`` crashes at various numbers of calls."""
    latest = ALL_POINTS[point].latest
    return [Crash(point, moment, chance.randint(1, latest)) for _ in range(times)]


async def mortal_agent(system: System, *flags: str) -> MortalAgent:
    """The system's agent, registered."""
    agent = MortalAgent(system.master, system.directory / "agent", system.shim_id, *flags)
    system.agents.append(agent)
    await agent.start()
    await agent.logged("registered with")
    await agent.kill()
    await asyncio.sleep(0)
    return agent
