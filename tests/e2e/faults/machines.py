"""A machine with an agent that shares its journal, and the roads that lead to it and from it.

::

    ZooKeeper servers <-- a proxy each --- agent --- DockerProxy --> engine
                                            ^  \\
                              the master ---+   +---> the master's own gate
                              by a gate
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.agents import AgentProcess
from tests.e2e.conftest import System
from tests.e2e.faults.masters import Gate
from tests.e2e.faults.proxy import DockerProxy
from tests.support.ports import free_port
from tests.support.wait import until
from tests.support.zookeeper import Ensemble
from tests.wire.conftest import TcpProxy

PAGE_TIMEOUT = 5.0


class Machine:
    """``async with``. A supervisor starts the agent again when it has ended."""

    def __init__(
        self, system: System, directory: Path, ensemble: Ensemble, session: float, *flags: str
    ) -> None:
        self._system = system
        self._directory = directory
        self._session = session
        self._flags = flags
        self._proxies = [TcpProxy(port) for port in ensemble.ports]
        self._supervising: asyncio.Task[None] | None = None
        self.engine = DockerProxy(directory.with_suffix(".sock"))
        self.gate: Gate
        """The master's way to the agent."""
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.agent: AgentProcess

    async def __aenter__(self) -> Machine:
        port = free_port()
        await self.engine.__aenter__()
        self.gate = await Gate(port).start()
        await self.heal()
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in self._proxies)
        self.agent = AgentProcess(
            self._system.master,
            self._directory,
            self._system.shim_id,
            f"--journal=zk://user:s3cret@{hosts}/{self._system.shim_id}",
            f"--zk_session_timeout={self._session:g}secs",
            "--hostname=localhost",
            "--advertise_ip=127.0.0.1",
            f"--advertise_port={self.gate.port}",
            *self._flags,
            DOCKER_HOST=self.engine.host,
        )
        self.agent.port = port
        self._system.agents.append(self.agent)
        await self.agent.start()
        self._supervising = asyncio.create_task(self._supervise())
        return self

    async def _supervise(self) -> None:
        while True:
            await self.agent.exit_code(3600)
            await self.may_start.wait()
            await self.agent.start()

    async def __aexit__(self, *_: object) -> None:
        if self._supervising is not None:
            self._supervising.cancel()
            await asyncio.gather(self._supervising, return_exceptions=True)
        await self.agent.kill()
        await self.cut()
        await self.gate.stop()
        await self.engine.__aexit__()

    async def cut(self) -> None:
        """No way to ZooKeeper."""
        for proxy in self._proxies:
            await proxy.shut()

    async def heal(self) -> None:
        """A way to ZooKeeper."""
        for proxy in self._proxies:
            await proxy.open()

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens when the agent has ended already."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.agent.pid, number)

    async def ended(self, pid: int) -> None:
        """Wait for the end of this process of the agent."""

        def over() -> bool:
            return self.agent.pid != pid or not self.agent.running

        await until(over, lambda: f"the end of process {pid}:\n{self.agent.log[-4000:]}")

    async def page(self, path: str) -> tuple[int, Any]:
        """Status and JSON; 0 while nothing answers."""
        url = f"http://127.0.0.1:{self.agent.port}{path}"
        timeout = aiohttp.ClientTimeout(total=PAGE_TIMEOUT)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url) as answer,
            ):
                found = await answer.json() if answer.content_type == "application/json" else None
                return answer.status, found
        except (aiohttp.ClientError, TimeoutError):
            return 0, None

    async def epoch(self) -> int:
        """Of the agent that leads here; 0 if none does."""
        status, found = await self.page("/leader")
        return int(found["epoch"]) if status == 200 else 0

    async def leads(self) -> bool:
        return await self.epoch() > 0

    async def stands_by(self) -> bool:
        leadership, _ = await self.page("/leader")
        return leadership == 503 and (await self.page("/health"))[0] == 200
