"""A core with tasks, and what else pages read, all of it made up."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shim.core.agent import Core
from shim.core.context import Now, Settings
from shim.core.lifecycle import Event
from shim.core.registration import State
from shim.errors import NotFound
from shim.http.view import View
from shim.model import facts
from shim.model.container import Container, Phase, Ref
from shim.model.ids import AgentId, FrameworkId, Pid, TaskId, TaskKey
from shim.model.records import Snapshot
from shim.model.sandbox import OUTPUTS, Entry
from shim.model.usage import Usage
from shim.protos.mesos_pb2 import (
    ContainerInfo,
    FrameworkInfo,
    HealthCheck,
    SlaveInfo,
    TaskInfo,
    Value,
)

AGENT = "4f3e-S0"
FRAMEWORK = "4f3e-0001"


class Chance:
    def __init__(self) -> None:
        self._last = 0

    def uuid(self) -> bytes:
        self._last += 1
        return uuid.UUID(int=self._last, version=4).bytes

    def uniform(self, limit: float) -> float:
        return 0.0


def a_core() -> Core:
    """Recovered and known to a master."""
    info = SlaveInfo(hostname="agent.example", port=5051)
    for name, amount in (("cpus", 64.0), ("mem", 131072.0)):
        info.resources.add(name=name, type=Value.SCALAR).scalar.value = amount
    info.attributes.add(name="rack", type=Value.TEXT).text.value = "r1"
    settings = Settings(pid=Pid("slave(1)", "10.1.2.3", 5051), info=info, version="1.11.0")
    core = Core(settings, Chance(), Snapshot.empty(), Now(0.0, 1_700_000_000.0))
    core.ctx.agent_id = AgentId(AGENT)
    core.ctx.master = Pid("master", "10.0.0.1", 5050)
    core.registration.state = State.CONNECTED
    return core


def framework_info(framework_id: str = FRAMEWORK) -> FrameworkInfo:
    info = FrameworkInfo(user="root", name="marathon", checkpoint=True, roles=["*"], hostname="m1")
    info.id.value = framework_id
    info.failover_timeout = 604800.0
    info.capabilities.add(type=FrameworkInfo.Capability.MULTI_ROLE)
    return info


def task_info(task_id: str) -> TaskInfo:
    """As Marathon writes one."""
    info = TaskInfo(name=task_id.partition(".")[0])
    info.task_id.value = task_id
    info.slave_id.value = AGENT
    for name, amount in (("cpus", 0.5), ("mem", 128.0)):
        resource = info.resources.add(name=name, type=Value.SCALAR)
        resource.scalar.value = amount
        resource.allocation_info.role = "*"
    ports = info.resources.add(name="ports", type=Value.RANGES)
    ports.ranges.range.add(begin=31005, end=31005)
    info.command.value = "sleep 60; echo a long command"
    for name in ("MARATHON_APP_ID", "PORT0", "PASSWORD"):
        info.command.environment.variables.add(name=name, value=f"value of {name}")
    info.container.type = ContainerInfo.DOCKER
    docker = info.container.docker
    docker.image, docker.network = "nginx:1.25", ContainerInfo.DockerInfo.BRIDGE
    docker.port_mappings.add(host_port=31005, container_port=80, protocol="tcp")
    docker.parameters.add(key="label", value=f"MESOS_TASK_ID={task_id}")
    docker.parameters.add(key="env", value="TOKEN=do-not-tell")
    info.labels.labels.add(key="tier", value="front")
    info.discovery.visibility = 1
    info.discovery.name = info.name
    info.discovery.ports.ports.add(number=31005, name="http", protocol="tcp")
    info.health_check.type = HealthCheck.TCP
    info.health_check.tcp.port = 80
    return info


def accept(core: Core, task_id: str, framework_id: str = FRAMEWORK) -> Ref:
    framework = core.frameworks.update(framework_info(framework_id), "@0.0.0.0:0")
    key = TaskKey(FrameworkId(framework_id), TaskId(task_id))
    core.tasks.accept(framework, key, task_info(task_id))
    return core.tasks.table[key].ref


def run(core: Core, ref: Ref) -> None:
    container = Container(ref.name, "id", Phase.RUNNING, addresses=("192.168.128.7",))
    core.tasks.apply(ref, Event.CREATING)
    core.tasks.apply(ref, Event.STARTED, container)
    core.ctx.take()


def end(core: Core, ref: Ref, *, acknowledged: bool = False) -> None:
    core.tasks.apply(ref, Event.EXITED, facts.ContainerExited(ref, 0))
    if acknowledged:
        core.status_updates.drop(ref.key)
        core.tasks.acknowledged(ref.key)
    core.ctx.take()


def run_tasks(core: Core, count: int) -> list[Ref]:
    refs = [accept(core, f"web.{uuid.uuid4()}") for _ in range(count)]
    for ref in refs:
        run(core, ref)
        # Long acknowledged, as most are.
        core.status_updates.drop(ref.key)
    core.ctx.take()
    return refs


@dataclass
class Pulse:
    relist_age: float = 0.0
    endpoint_trouble: str = ""
    disk_failing: bool = False


@dataclass
class Counts:
    launches_failed: int = 0
    updates: int = 0


@dataclass
class Fetches:
    succeeded: int = 0
    failed: int = 0
    cache_used: int = 0
    cache_size: int = 0


@dataclass
class NoOutputs:
    """Outputs by name, the same for every task; ``lives`` says how the last was asked for."""

    texts: dict[str, bytes] = field(default_factory=dict)
    gone: set[Ref] = field(default_factory=set)
    asked_live: bool | None = None
    kept: list[tuple[int, int]] | None = None

    def latest(self, key: TaskKey) -> Ref | None:
        return next((ref for ref in self.gone if ref.key == key), None)

    def knows(self, ref: Ref) -> bool:
        return ref in self.gone

    async def entries(self, ref: Ref, live: bool) -> Sequence[Entry]:
        self.asked_live = live
        return [Entry(name, len(self.texts.get(name, b"")), 1.5) for name in OUTPUTS]

    async def read(self, ref: Ref, name: str, offset: int, length: int, live: bool) -> bytes:
        return self.texts.get(name, b"")[offset : offset + length]

    async def extents(self, ref: Ref, name: str, live: bool) -> Sequence[tuple[int, int]]:
        return self.kept if self.kept is not None else [(0, len(self.texts.get(name, b"")))]


@dataclass(frozen=True)
class Thing:
    is_directory: bool = False
    content: bytes = b""
    entries: tuple[Entry, ...] = ()


@dataclass
class NoFiles:
    things: dict[str, Thing | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def fetch(self, ref: Ref, path: str) -> Thing:
        self.asked.append(path)
        found = self.things.get(path, NotFound(path))
        if isinstance(found, Exception):
            raise found
        return found


@dataclass
class NoUsages:
    known: dict[Ref, Usage] = field(default_factory=dict)

    async def usages(self) -> Mapping[Ref, Usage]:
        return self.known


@dataclass
class World:
    """Everything pages read."""

    core: Core = field(default_factory=a_core)
    outputs: NoOutputs = field(default_factory=NoOutputs)
    files: NoFiles = field(default_factory=NoFiles)
    usages: NoUsages = field(default_factory=NoUsages)
    pulse: Pulse = field(default_factory=Pulse)
    counts: Counts = field(default_factory=Counts)
    fetches: Fetches = field(default_factory=Fetches)

    @property
    def sources(self) -> View:
        return View(
            agent=self.core.view,
            work_dir="/var/lib/shim",
            flags={"port": "5051"},
            started=1_700_000_000.5,
            outputs=self.outputs,
            files=self.files,
            usages=self.usages,
            pulse=self.pulse,
            counts=self.counts,
            fetches=self.fetches,
        )
