"""What benchmarks share: a master that only speaks the wire, the agent's process, figures.

The master is as thin as it can be, so that what is measured is the agent: it registers whoever
asks, sends launches when told to, and acknowledges every update at once.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Self

from google.protobuf.message import Message

from shim.model.ids import Pid
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import ContainerInfo, FrameworkInfo, TaskInfo, TaskState, Value
from shim.wire import codec
from shim.wire.connect import connector
from shim.wire.link import Links
from shim.wire.server import Inbox, Listener, bind, serve
from shim.wire.tls import Tls

FRAMEWORK_ID = "bench-0000"
LOOK_EVERY = 0.01


class ThinMaster:
    """``seen[(task id, state)]`` is when (monotonic seconds) the first such update came."""

    def __init__(self, tls: Tls | None = None) -> None:
        self.agent: Pid | None = None
        self.agent_id = f"{uuid.uuid4()}-S0"
        self.seen: dict[tuple[str, int], float] = {}
        self.updates = 0
        self.pong_count = 0
        self.reported = 0
        """Tasks in the last re-registration."""
        self.acknowledge = True
        self.registered = asyncio.Event()
        self.on_update: Callable[[m.StatusUpdate], None] = lambda update: None
        self._tls = tls
        self._links = Links(lambda address: None, connect=connector(tls))
        self._listener: Listener | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        inbox = Inbox(lambda process: True, self._deliver)
        self._listener = await serve(lambda app: None, inbox, bind("127.0.0.1", 0), self._tls)
        self.pid = Pid("master", "127.0.0.1", self._listener.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        await self._links.close(0)
        await self._listener.close()

    @property
    def address(self) -> str:
        return f"{self.pid.ip}:{self.pid.port}"

    def tell(self, message: Message) -> None:
        assert self.agent is not None
        self._links.send(self.agent, self.pid, codec.name_of(message), message.SerializeToString())

    def _deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        message = codec.decode(name, body, codec.TO_MASTER)
        if isinstance(message, m.RegisterSlaveMessage | m.ReregisterSlaveMessage):
            self._register(sender, message)
        elif isinstance(message, m.StatusUpdateMessage):
            self._update(message.update)
        elif isinstance(message, m.PongSlaveMessage):
            self.pong_count += 1
            self._news.set()

    def _register(self, sender: Pid, message: Message) -> None:
        self.agent = sender
        answer: m.SlaveRegisteredMessage | m.SlaveReregisteredMessage
        if isinstance(message, m.ReregisterSlaveMessage):
            self.agent_id = message.slave.id.value
            self.reported = len(message.tasks)
            answer = m.SlaveReregisteredMessage()
        else:
            answer = m.SlaveRegisteredMessage()
        answer.slave_id.value = self.agent_id
        self.tell(answer)
        self.registered.set()

    def _update(self, update: m.StatusUpdate) -> None:
        status = update.status
        self.updates += 1
        self.seen.setdefault((status.task_id.value, status.state), time.monotonic())
        if self.acknowledge:
            self.ack(update)
        self.on_update(update)
        self._news.set()

    def ack(self, update: m.StatusUpdate) -> None:
        message = m.StatusUpdateAcknowledgementMessage(uuid=update.uuid)
        message.slave_id.value = self.agent_id
        message.framework_id.value = update.framework_id.value
        message.task_id.value = update.status.task_id.value
        self.tell(message)

    async def until(
        self, done: Callable[[], bool], timeout: float = 600, look_every: float = LOOK_EVERY
    ) -> None:
        """Looked at when messages came, but not for each: what is measured needs the cores."""
        async with asyncio.timeout(timeout):
            while not done():
                self._news.clear()
                await self._news.wait()
                await asyncio.sleep(look_every)

    def launch(self, task_id: str, image: str, command: str = "sleep 100000") -> None:
        self.tell(run_task(self.agent_id, task_id, image, command))

    def kill(self, task_id: str) -> None:
        message = m.KillTaskMessage()
        message.framework_id.value = FRAMEWORK_ID
        message.task_id.value = task_id
        message.kill_policy.grace_period.nanoseconds = 0
        self.tell(message)

    def reached(self, names: list[str], *states: TaskState.ValueType) -> Callable[[], bool]:
        """Whether every one of the tasks was in one of the states."""
        return lambda: all(any((name, state) in self.seen for state in states) for name in names)


class LoopProbe:
    """How long the event loop is held: a callback asks to be called every millisecond.

    ``held`` is the longest time between two calls, ``worked`` the longest in which this thread
    computed without a pause; the rest of ``held`` belongs to other processes. ``collected`` is the
    longest garbage collection. All in seconds.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._collecting = 0.0
        gc.callbacks.append(self._on_collection)
        self.reset()
        self._timer = self._loop.call_soon(self._tick)

    def reset(self) -> None:
        self.held = self.worked = self.collected = 0.0
        self._before, self._cpu = time.perf_counter(), time.thread_time()

    def _tick(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.held = max(self.held, now - self._before - 0.001)
        self.worked = max(self.worked, cpu - self._cpu)
        self._before, self._cpu = now, cpu
        self._timer = self._loop.call_later(0.001, self._tick)

    def _on_collection(self, phase: str, info: object) -> None:
        if phase == "start":
            self._collecting = time.perf_counter()
        else:
            self.collected = max(self.collected, time.perf_counter() - self._collecting)

    def close(self) -> None:
        self._timer.cancel()
        gc.callbacks.remove(self._on_collection)


def framework_info() -> FrameworkInfo:
    info = FrameworkInfo(user="root", name="bench", checkpoint=True, roles=["*"])
    info.id.value = FRAMEWORK_ID
    info.capabilities.add(type=FrameworkInfo.Capability.MULTI_ROLE)
    return info


def run_task(agent_id: str, task_id: str, image: str, command: str) -> m.RunTaskMessage:
    message = m.RunTaskMessage(framework=framework_info(), pid="@0.0.0.0:0", launch_executor=True)
    message.task.CopyFrom(task_info(agent_id, task_id, image, command))
    return message


def task_info(agent_id: str, task_id: str, image: str, command: str) -> TaskInfo:
    info = TaskInfo(name=task_id)
    info.task_id.value = task_id
    info.slave_id.value = agent_id
    for name, amount in (("cpus", 0.01), ("mem", 32.0)):
        resource = info.resources.add(name=name, type=Value.SCALAR)
        resource.scalar.value = amount
        resource.allocation_info.role = "*"
    info.command.value = command
    info.container.type = ContainerInfo.DOCKER
    info.container.docker.image = image
    info.container.docker.network = ContainerInfo.DockerInfo.BRIDGE
    return info


def rss_kb(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError(f"no VmRSS of {pid}")


def cpu_seconds(pid: int) -> float:
    """What a process has used of the processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> int:
    """How many processes a process has started that live."""
    return sum(
        len(task.read_text().split()) for task in Path(f"/proc/{pid}/task").glob("*/children")
    )
