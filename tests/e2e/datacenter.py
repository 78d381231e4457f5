"""The whole agent in front of a datacenter, with a master as thin as can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from shim.model.ids import Pid
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import OPERATION_FINISHED, Resource
from shim.wire import codec
from tests.bench.kit import ThinMaster
from tests.core.reserved import message as apply_message
from tests.core.reserved import operation
from tests.e2e.agents import AgentProcess
from tests.support.wait import PATIENCE
from tests.triton.simulator import TritonSimulator


class Master(ThinMaster):
    """Keeps what each update said, and has operations carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, str] = {}
        self.on_update = self._note
        self._operations: dict[bytes, asyncio.Future[int]] = {}

    async def apply(self, kind: str, *resources: Resource) -> None:
        """Send an operation, and acknowledge its status: OPERATION_FINISHED."""
        message = apply_message(operation(kind, *resources))
        uuid = message.operation_uuid.value
        done = self._operations[uuid] = asyncio.get_running_loop().create_future()
        self.tell(message)
        assert await asyncio.wait_for(done, PATIENCE) == OPERATION_FINISHED

    def _deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        message = codec.decode(name, body, codec.TO_MASTER)
        if not isinstance(message, m.UpdateOperationStatusMessage):
            super()._deliver(process, sender, name, body)
            return
        answer = m.AcknowledgeOperationStatusMessage()
        answer.status_uuid.value = message.status.uuid.value
        answer.operation_uuid.value = message.operation_uuid.value
        self.tell(answer)
        done = self._operations[message.operation_uuid.value]
        if not done.done():
            done.set_result(message.status.state)

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
