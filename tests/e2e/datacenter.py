"""The whole agent in front of a datacenter, with a master as thin as can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from shim.protos import messages_pb2 as m
from tests.bench.kit import ThinMaster
from tests.e2e.agents import AgentProcess
from tests.support.wait import PATIENCE
from tests.triton.simulator import TritonSimulator


class Master(ThinMaster):
    """Keeps what each update said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, str] = {}
        self.on_update = self._note

    def _note(self, update: m.StatusUpdate) -> None:
        self.said[update.status.task_id.value] = update.status.message


@asynccontextmanager
async def shim(
    triton: TritonSimulator, tmp_path: Path, name: str = "one", *more: str, program: str = "shim"
) -> AsyncIterator[tuple[Master, AgentProcess]]:
    flags = [f"--docker_host={triton.endpoint.docker_host}", f"--docker_cert_path={triton.certs}"]
    async with Master() as master:
        agent = AgentProcess(master.address, tmp_path / name, name, *flags, *more)
        agent.program = (program,)
        await agent.start()
        try:
            await asyncio.wait_for(master.registered.wait(), PATIENCE)
            yield master, agent
        except BaseException:
            print(agent.log)
            raise
        finally:
            await agent.end()


async def page(agent: AgentProcess, name: str) -> str:
    url = f"http://127.0.0.1:{agent.port}/{name}"
    async with aiohttp.ClientSession() as web, web.get(url) as answer:
        return await answer.text()
