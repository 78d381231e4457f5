"""A fake agent that speaks libprocess. It has no containers; the test sends task states."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any, TypeVar

from aiohttp import web
from google.protobuf.message import Message

from shim.model.ids import Pid
from shim.model.settings import Credential
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from shim.wire import codec
from shim.wire.cram_md5 import Authenticatee, Completed, Failed, Refused
from shim.wire.link import Links
from shim.wire.server import Inbox, bind, serve
from tests.support.wait import PATIENCE, patience

M = TypeVar("M", bound=Message)
Capability = mesos.SlaveInfo.Capability

SIMPLE = (
    Capability.MULTI_ROLE,
    Capability.HIERARCHICAL_ROLE,
    Capability.AGENT_DRAINING,
    Capability.TASK_RESOURCE_LIMITS,
)
STOCK = (*SIMPLE, Capability.RESERVATION_REFINEMENT, Capability.RESOURCE_PROVIDER)


def scalar(name: str, value: float) -> mesos.Resource:
    resource = mesos.Resource(name=name, type=mesos.Value.SCALAR, role="*")
    resource.scalar.value = value
    return resource


def slave_info(**totals: float) -> mesos.SlaveInfo:
    amounts = totals or {"cpus": 4.0, "mem": 4096.0, "disk": 10000.0}
    info = mesos.SlaveInfo(hostname="127.0.0.1", port=5051, checkpoint=True)
    info.resources.extend(scalar(name, value) for name, value in amounts.items())
    return info


class FakeAgent:
    """Received messages are in ``received``, except pings, which are in ``pings``."""

    def __init__(self, master: str, *, capabilities: tuple[int, ...] = SIMPLE) -> None:
        self.master = Pid.parse(f"master@{master}")
        self.info = slave_info()
        self.capabilities = capabilities
        self.resource_version = uuid.uuid4().bytes
        self.answers_pings = True
        self.received: list[tuple[Pid, Message]] = []
        self.files: dict[str, str] = {}
        self.pings: list[tuple[Pid, bool]] = []
        self._changed = asyncio.Condition()
        self._consumed = 0
        self._attempts = 0
        self._lost = asyncio.Event()

    async def __aenter__(self) -> FakeAgent:
        await self.start(0)
        return self

    async def start(self, port: int) -> None:
        inbox = Inbox(lambda process: True, self._deliver)
        self._listener = await serve(self._routes, inbox, bind("127.0.0.1", port))
        self.pid = Pid("slave(1)", "127.0.0.1", self._listener.port)
        self._lost.clear()
        self.links = Links(lambda address: self._lost.set())

    def _routes(self, app: web.Application) -> None:
        app.router.add_get("/files/read", self._read)

    async def _read(self, request: web.Request) -> web.Response:
        offset = int(request.query["offset"])
        if request.query["path"] not in self.files:
            return web.Response(status=404)
        data = self.files[request.query["path"]][offset:]
        return web.json_response({"offset": offset, "data": data})

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop like a killed process: the master's connection breaks."""
        await self.links.close(flush=0.2)
        await self._listener.close()

    async def lose_master(self) -> None:
        """Wait until the link to a master that ended has broken: what is sent before is lost."""
        async with patience():
            await self._lost.wait()

    async def restart(self) -> None:
        """Restart at the same address."""
        port = self.pid.port
        await self.stop()
        # Until the master has noticed, it may send over two connections, in any order.
        await asyncio.sleep(0.2)
        await self.start(port)

    def _deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        message = codec.decode(name, body)
        if isinstance(message, internal.PingSlaveMessage):
            self.pings.append((sender, message.connected))
            if self.answers_pings:
                self.send(internal.PongSlaveMessage(), to=sender)
            return
        self.received.append((sender, message))
        asyncio.get_running_loop().create_task(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def send(self, message: Message, *, to: Pid | None = None, sender: Pid | None = None) -> None:
        """Send a message without any check, also one that would abort a master."""
        body = message.SerializeToString(deterministic=True)
        self.links.send(to or self.master, sender or self.pid, codec.name_of(message), body)

    async def next(self, kind: type[M], timeout: float = PATIENCE) -> M:
        """The next message. It has to be of this kind."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: len(self.received) > self._consumed)
            _, message = self.received[self._consumed]
            self._consumed += 1
        assert isinstance(message, kind), f"waited for {kind.__name__}, got {message}"
        return message

    def skip(self) -> None:
        """Skip every message received so far."""
        self._consumed = len(self.received)

    @property
    def unread(self) -> list[Message]:
        return [message for _, message in self.received[self._consumed :]]

    # ---- what an agent does -----------------------------------------------------------------

    def registration(self) -> internal.RegisterSlaveMessage:
        message = internal.RegisterSlaveMessage(slave=self.info, version="1.12.0")
        for capability in self.capabilities:
            message.agent_capabilities.add(type=capability)
        if self.resource_version:
            message.resource_version_uuid.value = self.resource_version
        return message

    async def register(self) -> str:
        """Register; returns the agent id."""
        self.send(self.registration())
        answer = await self.next(internal.SlaveRegisteredMessage)
        self.info.id.CopyFrom(answer.slave_id)
        return answer.slave_id.value

    def reregistration(
        self,
        *tasks: mesos.Task,
        frameworks: tuple[mesos.FrameworkInfo, ...] = (),
    ) -> internal.ReregisterSlaveMessage:
        message = internal.ReregisterSlaveMessage(slave=self.info, version="1.12.0")
        message.tasks.extend(tasks)
        message.frameworks.extend(frameworks)
        for capability in self.capabilities:
            message.agent_capabilities.add(type=capability)
        message.resource_version_uuid.value = self.resource_version
        return message

    async def reregister(
        self, *tasks: mesos.Task, frameworks: tuple[mesos.FrameworkInfo, ...] = ()
    ) -> internal.SlaveReregisteredMessage:
        self.send(self.reregistration(*tasks, frameworks=frameworks))
        return await self.next(internal.SlaveReregisteredMessage)

    def update(
        self,
        run: internal.RunTaskMessage,
        state: mesos.TaskState.ValueType,
        **fields: Any,
    ) -> internal.StatusUpdateMessage:
        """A status update as a stock agent sends it. This method does not send it."""
        message = internal.StatusUpdateMessage(pid=str(self.pid))
        update = message.update
        update.framework_id.CopyFrom(run.framework.id)
        update.executor_id.value = run.task.task_id.value
        update.slave_id.CopyFrom(self.info.id)
        update.timestamp = time.time()
        update.uuid = uuid.uuid4().bytes
        update.latest_state = state
        status = mesos.TaskStatus(state=state, source=mesos.TaskStatus.SOURCE_EXECUTOR, **fields)
        status.task_id.CopyFrom(run.task.task_id)
        status.slave_id.CopyFrom(self.info.id)
        status.executor_id.value = run.task.task_id.value
        status.timestamp = update.timestamp
        status.uuid = update.uuid
        update.status.CopyFrom(status)
        return message

    async def report(
        self, run: internal.RunTaskMessage, state: mesos.TaskState.ValueType, **fields: Any
    ) -> internal.StatusUpdateMessage:
        """Send an update and wait for its acknowledgement."""
        message = self.update(run, state, **fields)
        self.send(message)
        ack = await self.next(internal.StatusUpdateAcknowledgementMessage)
        assert ack.uuid == message.update.uuid
        return message

    async def authenticate(self, principal: str, secret: bytes) -> Completed | Refused | Failed:
        self._attempts += 1
        authenticatee = Pid(f"crammd5-authenticatee({self._attempts})", self.pid.ip, self.pid.port)
        exchange = Authenticatee(Credential(principal, secret), self.pid)
        self.send(exchange.start(), sender=authenticatee)
        while True:
            async with patience(), self._changed:
                await self._changed.wait_for(lambda: len(self.received) > self._consumed)
                peer, message = self.received[self._consumed]
                self._consumed += 1
            reply = exchange.receive(message)
            if isinstance(reply, Completed | Refused | Failed):
                return reply
            assert reply is not None
            self.send(reply, to=peer, sender=authenticatee)


def task_of(run: internal.RunTaskMessage, state: mesos.TaskState.ValueType) -> mesos.Task:
    """The task as a restarted agent reports it."""
    task = mesos.Task(name=run.task.name, state=state)
    task.task_id.CopyFrom(run.task.task_id)
    task.framework_id.CopyFrom(run.framework.id)
    task.slave_id.CopyFrom(run.task.slave_id)
    task.resources.extend(run.task.resources)
    return task
